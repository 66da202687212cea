// What is wrong with data of samples, through the command: each case ends with exit code 65 and says where.
#include <gtest/gtest.h>

#include "tests/support/command.h"
#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {
using testing::error_of;
using testing::run_command;
using testing::shared_data;
using testing::TemporaryFolder;

struct Bad {
  const char* name;
  const char* text;
  const char* message;  // after the folder
  std::vector<std::string> more{};
};

const std::vector<Bad>& bad_files() {
  static const std::vector<Bad> files{
      {"label.svm", "1 1:1\npython 1:1\n", "label.svm:2:1: label is \"python\""},
      {"none.svm", "1 1:1\n3:4 5:6\n", "none.svm:2:1: the row has no label"},
      {"several.svm", "1 1:1\n1,2 2:1\n",
       "several.svm:2:1: label is \"1,2\": rows of several labels"},
      {"nanlabel.svm", "1 1:1\nnan 2:1\n", "nanlabel.svm:2:1: label is \"nan\""},
      {"pair.svm", "1 1:1\n-1 2\n", "pair.svm:2:4: \"2\" is no entry; expected index:value"},
      {"value.svm", "1 1:1\n-1 2:abc\n", "value.svm:2:6: value of feature 2 is \"abc\""},
      {"nan.svm", "1 1:1\n-1 2:nan\n", "nan.svm:2:6: value of feature 2 is \"nan\""},
      {"beyond.svm", "1 1:1\n-1 2:1e99\n", "beyond.svm:2:6: value of feature 2 is \"1e99\""},
      {"zero.svm", "1 1:1\n-1 0:1\n", "zero.svm:2:4: feature index is 0", {"--index-base", "1"}},
      {"minus.svm", "1 1:1\n-1 -2:1\n", "minus.svm:2:4: \"-2:1\" is no entry"},
      {"far.svm", "1 1:1\n-1 4294967296:1\n",
       "far.svm:2:4: feature index is 4294967296; the greatest"},
      {"edge.svm", "1 1:1\n-1 2147483648:1\n",
       "edge.svm:2:4: feature index is 2147483648; the greatest"},
      {"over.svm",
       "1 1:1\n-1 9:1\n",
       "over.svm:2:4: feature index is 9; the greatest is 5",
       {"--set", "data.num_features=5"}},
      {"twice.svm", "1 1:1\n-1 3:1 3:2\n", "twice.svm:2:8: feature index 3 stands twice"},
      {"empty.svm", "", "empty.svm: no rows"},
      {"one.svm", "1 1:1\n1 2:1\n", "one.svm: every label is 1"},
      {"fields.csv", "label,a\n1,2\n0\n", "fields.csv:3:1: 1 fields; expected 2"},
      {"quote.csv", "label,a\n1,\"2\n0,3\n", "quote.csv:2: a quote that is opened"},
      {"label.csv", "label,a\n1,2\n,3\n0,1\n", "label.csv:3:1: column \"label\" is missing"},
      {"empty.csv", "label,a\n", "empty.csv: no records"},
      {"cut.jsonl", "{\"label\":1,\"a\":2}\n{\"label\":0,\"a\":\n",
       "cut.jsonl:2:16: expected a value"},
      {"twice.jsonl", "{\"label\":1,\"a\":2}\n{\"label\":0,\"a\":1,\"a\":2}\n",
       "twice.jsonl:2:1: member \"a\" is there twice"},
      {"list.jsonl", "[1,2]\n", "list.jsonl: no records; expected a JSON object"}};
  return files;
}

class BadSamples : public ::testing::Test {
 protected:
  Error training(const std::string& path, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"train",     "linear",
                                   "--data",    path,
                                   "--dir",     folder_ / "runs",
                                   "--name",    "bad" + std::to_string(++runs_),
                                   "--holdout", "0",
                                   "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return error_of([&] { run_command(words); });
  }
  /// A model of these files.
  std::string model(const std::string& name, const std::string& text) {
    const std::string path = folder_.write(name, text);
    run_command({"train", "linear", "--data", path, "--dir", folder_ / "runs", "--name", name,
                 "--holdout", "0", "--quiet"});
    return (folder_ / "runs/") + name;
  }
  TemporaryFolder folder_;
  int runs_ = 0;
};

TEST_F(BadSamples, TrainingNamesFileAndLine) {
  for (const Bad& bad : bad_files()) {
    const std::string path = folder_.write(bad.name, bad.text);
    const Error error = training(path, bad.more);
    EXPECT_EQ(error.kind(), ErrorKind::data) << bad.name;
    EXPECT_NE(std::string(error.what()).find((folder_ / "") + bad.message), std::string::npos)
        << error.what();
  }
}

TEST_F(BadSamples, SkippedRowsAreCountedAndTheRestIsUsed) {
  const std::string path = folder_.write(
      "some.svm",
      "1 1:1\n-1 2:nan\n1,2 3:1\n-1 2:1 2:2\n-1 2:1\n1 0x1:1\n-1 4294967296:1\n1 1:2\n");
  std::vector<std::string> words{
      "train", "linear",    "--data", path,      "--dir", folder_ / "runs",       "--name",
      "some",  "--holdout", "0",      "--quiet", "--set", "data.bad_records=skip"};
  Log log(0, LogLevel::error);
  EXPECT_EQ(run_command(words, *World::start(), log), 0);
  ASSERT_FALSE(log.warnings().empty());
  EXPECT_NE(log.warnings()[0].find("5 of 8 records were left out"), std::string::npos)
      << log.warnings()[0];
}

TEST_F(BadSamples, EmptyRowsAndBlankLinesAreNoFault) {
  const std::string path =
      folder_.write("blank.svm", "1 1:1\n-1\n\n# a comment\n1 2:1 # another\n-1\n");
  EXPECT_EQ(run_command({"train", "linear", "--data", path, "--dir", folder_ / "runs", "--name",
                         "blank", "--holdout", "0", "--quiet"}),
            0);
}

TEST_F(BadSamples, LabelsOutsideOfTheClassesAndMissingColumns) {
  const std::string sparse = model("sparse.svm", "1 1:1\n-1 2:1\n1 1:2\n-1 2:2\n");
  const auto failure = [&](const char* verb, const std::string& of, const char* name,
                           const char* text) {
    const std::string path = folder_.write(name, text);
    const Error error = error_of([&] {
      run_command({verb, of, "--data", path, "--output", folder_ / "out.csv"});
    });
    EXPECT_EQ(error.kind(), ErrorKind::data);
    return std::string(error.what());
  };
  const std::string evaluation = folder_.write("seven.svm", "1 1:1\n7 2:1\n");
  EXPECT_NE(std::string(error_of([&] {
                          run_command({"evaluate", sparse, "--data", evaluation});
                        }).what())
                .find("seven.svm: row 2: the label 7 is not one of the model's classes -1, 1"),
            std::string::npos);
  const std::string records = model("records.csv", "label,a\nx,2\ny,1\nx,3\ny,0\n");
  const std::string other = folder_.write("z.csv", "label,a\nx,2\nz,1\n");
  EXPECT_NE(std::string(error_of([&] {
                          run_command({"evaluate", records, "--data", other});
                        }).what())
                .find("z.csv:3:1: column \"label\" is \"z\"; expected one of x, y"),
            std::string::npos);
  EXPECT_NE(failure("predict", records, "b.csv", "label,b\nx,2\n")
                .find("b.csv:1: there is no column \"a\""),
            std::string::npos);
  EXPECT_NE(failure("predict", records, "word.csv", "label,a\nx,abc\n")
                .find("word.csv:2:3: column \"a\" is \"abc\"; expected a number"),
            std::string::npos);
}

TEST_F(BadSamples, DamagedTfRecordsNameTheRecord) {
  for (const char* name : {"bad-protobuf-good-crc", "cut-in-header", "cut-in-payload",
                           "length-huge-bad-crc", "payload-bitflip", "zero-length-record"}) {
    const auto path = shared_data(std::string("malformed-tfrecord/") + name + ".tfrecord");
    if (!path) GTEST_SKIP() << "malformed-tfrecord is not here";
    const Error error = training(*path);
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("record 51 at byte"), std::string::npos)
        << error.what();
  }
}

TEST_F(BadSamples, ValidateKnowsTheColumnsOfRecords) {
  const std::string good = folder_.write("good.csv", "age,job,label\n30,cook,1\n,clerk,0\n50,,1\n");
  const auto output = [&](const std::vector<std::string>& words, int status) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(run_command(words), status);
    return ::testing::internal::GetCapturedStdout();
  };
  const std::string text = output({"validate", good, "--label", "label"}, 0);
  for (const char* part : {"good.csv: valid", "records            3", "number, 30 to 50",
                           "1 missing", "text, 2 distinct", "cook: 1 records"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_NE(output({"validate", good, "--label", "label", "--max", "0"}, 65)
                .find("2 labels outside of [-inf, 0]; the first is 1 in sound record 0"),
            std::string::npos);
  EXPECT_NE(output({"validate", good, "--label", "label", "--json"}, 0).find("\"kind\": \"text\""),
            std::string::npos);
  const std::string cut = folder_.write("cut.csv", "age,label\n30,1\n40\nx,0\n");
  EXPECT_NE(output({"validate", cut, "--label", "label"}, 65).find("cut.csv:3:1: 1 fields"),
            std::string::npos);
  EXPECT_EQ(error_of([&] {
              run_command({"validate", good, "--label", "zz"});
            }).kind(),
            ErrorKind::usage);
  // Against a model: its columns, their kinds, its classes.
  const std::string fitted =
      model("fitted.csv", "age,job,label\n30,cook,x\n20,clerk,y\n50,cook,x\n");
  EXPECT_NE(output({"validate", folder_ / "fitted.csv", "--like", fitted}, 0).find("valid"),
            std::string::npos);
  const std::string other =
      folder_.write("other.csv", "age,job,label\n30,cook,x\nold,cook,x\n1,cook,q\n");
  const std::string told = output({"validate", other, "--like", fitted}, 65);
  EXPECT_NE(told.find("other.csv:3:1: column \"age\" is \"old\""), std::string::npos) << told;
  EXPECT_NE(told.find("other.csv:4:8: column \"label\" is \"q\"; expected one of x, y"),
            std::string::npos)
      << told;
}

TEST_F(BadSamples, ConvertLikeAModelGivesItsFeatures) {
  const std::string fitted = model(
      "train.csv", "age,job,label\n30,cook,x\n20,clerk,y\n50,cook,x\n41,smith,y\n12,clerk,x\n");
  const std::string data = folder_.write("new.csv", "age,job,label\n35,cook,y\n22,baker,x\n");
  EXPECT_EQ(run_command({"convert", data, folder_ / "new", "--like", fitted}), 0);
  const auto predictions = [&](const std::string& from) {
    EXPECT_EQ(
        run_command({"predict", fitted, "--data", from, "--output", folder_ / "p.csv", "--scores"}),
        0);
    return testing::read_bytes(folder_ / "p.csv");
  };
  EXPECT_EQ(predictions(folder_ / "new"), predictions(data));
  // Features of its own are others: the same data set is refused then.
  EXPECT_EQ(run_command({"convert", data, folder_ / "own", "--label", "label"}), 0);
  EXPECT_THROW(
      run_command({"predict", fitted, "--data", folder_ / "own", "--output", folder_ / "p.csv"}),
      Error);
  const std::string sparse = model("sparse.svm", "1 1:1\n-1 2:1\n");
  EXPECT_EQ(error_of([&] {
              run_command({"convert", data, folder_ / "x", "--like", sparse});
            }).kind(),
            ErrorKind::usage);
  EXPECT_EQ(error_of([&] {
              run_command({"convert", folder_ / "sparse.svm", folder_ / "x", "--like", fitted});
            }).kind(),
            ErrorKind::usage);
}

}  // namespace
}  // namespace gradmill
