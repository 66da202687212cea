// Records -> a converted data set that keeps its features -> a model that reads both.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "data/dataset.h"
#include "data/inspect.h"
#include "data/validate.h"
#include "launch/linear_model.h"
#include "launch/record_features.h"
#include "tests/support/command.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {
namespace fs = std::filesystem;
using testing::error_of;
using testing::read_bytes;
using testing::run_command;
using testing::TemporaryFolder;

const std::string kExamples = std::string(GRADMILL_SOURCE_DIR) + "/data/examples/";

/// Ages, cities and notes, some of them missing; `label(row)` follows from them.
std::string table(int rows, bool text_labels) {
  std::string text = "age,city,note,score,y\n";
  const char* cities[] = {"Rome", "Oslo", "", "Lima"};
  for (int i = 0; i < rows; ++i) {
    const int age = 20 + (i * 37) % 50, city = (i * 7) % 4;
    const bool yes = age + 10 * city + (i * 13) % 17 > 62;
    text += (i % 11 ? std::to_string(age) : "") + "," + cities[city] + ",n" +
            std::to_string(i % 23) + " common," + std::to_string(0.5 + i % 3) + "," +
            (text_labels ? (yes ? "yes" : "no") : (yes ? "3" : "1")) + "\n";
  }
  return text;
}

class ConvertRecords : public ::testing::Test {
 protected:
  void train(const std::string& name, const std::string& data, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"train", "linear", "--data", data, "--dir", dir(), "--name", name});
    EXPECT_EQ(run_command(more), 0);
  }
  std::string dir() const { return folder_ / "runs"; }
  std::string path(const std::string& name) const { return dir() + "/" + name; }
  /// Coefficients, features, inputs.
  std::string parameters(const std::string& name) const {
    return read_bytes(path(name) + "/model/rank-00000.safetensors") +
           read_bytes(path(name) + "/model/features.json") +
           read_bytes(path(name) + "/model/inputs.json");
  }
  std::string predictions(const std::string& name, const std::string& data) {
    const std::string file = folder_ / ("p" + std::to_string(++files_) + ".csv");
    EXPECT_EQ(run_command({"predict", path(name), "--data", data, "--output", file, "--scores"}),
              0);
    return read_bytes(file);
  }

  TemporaryFolder folder_;
  int files_ = 0;
};

TEST_F(ConvertRecords, TrainingIsThatOnTheRecordsToTheBit) {
  for (const bool text : {true, false}) {
    const std::string csv = folder_.write("t.csv", table(257, text));
    const std::string name = text ? "text" : "number";
    train(name, csv);
    for (const std::string to : {"hdf5", "tfrecord"}) {
      const std::string set = folder_ / (name + "-" + to);
      EXPECT_EQ(run_command({"convert", csv, set, "--label", "y", "--to", to, "--shards", "3"}), 0);
      EXPECT_EQ(read_dataset(set).shards.size(), 3u);
      train(name + "-" + to, set);
      EXPECT_EQ(parameters(name + "-" + to), parameters(name));
      EXPECT_EQ(predictions(name + "-" + to, csv), predictions(name, csv));
      EXPECT_EQ(predictions(name + "-" + to, set), predictions(name, csv));
      EXPECT_EQ(run_command({"evaluate", path(name), "--data", set, "--json"}), 0);
    }
  }
}

TEST_F(ConvertRecords, AConfigurationSaysTheFeatures) {
  const std::string csv = folder_.write("t.csv", table(100, true));
  const std::string config =
      folder_.write("run.toml", "[data]\ntrain = \"" + csv +
                                    "\"\nlabel = \"y\"\nweight = \"score\"\n[[features]]\n"
                                    "column = \"note\"\nkind = \"text\"\nhash_size = 64\n"
                                    "terms = \"tfidf\"\n[[features]]\ncolumn = \"age\"\n"
                                    "missing = \"indicator\"\n[model]\nkind = \"linear\"\n");
  const std::string set = folder_ / "set";
  EXPECT_EQ(run_command({"convert", config, set, "--shards", "2"}), 0);
  const Dataset dataset = read_dataset(set);
  EXPECT_EQ(dataset.rows, 100);
  EXPECT_EQ(dataset.samples.num_features, 66);
  EXPECT_TRUE(dataset.samples.has_weights);
  EXPECT_EQ(dataset.samples.weight.max, 2.5);
  const auto features = features_of_dataset(set);
  ASSERT_TRUE(features);
  EXPECT_EQ(features->feature_name(65), "age missing");
  EXPECT_EQ(features->label_classes(), (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(run_command({"train", config, "--dir", dir(), "--name", "records"}), 0);
  train("set", set);
  EXPECT_EQ(parameters("set"), parameters("records"));
  const Context cpu = Context::cpu(1);
  EXPECT_EQ(LinearModel::load(cpu, path("set")).inputs().feature_name(64), "age");
}

TEST_F(ConvertRecords, FeaturesAreSeenAndCheckedAsTheShardsAre) {
  const std::string csv = folder_.write("t.csv", table(60, true)), set = folder_ / "set";
  EXPECT_EQ(run_command({"convert", csv, set, "--label", "y"}), 0);
  EXPECT_NE(inspect_data(set, false).find("features.json"), std::string::npos);
  EXPECT_TRUE(validate_samples(set, {}).ok());

  std::fstream file(set + "/features.json", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(100);
  file.put('#');
  file.close();
  const Error damaged = error_of([&] { train("damaged", set); });
  EXPECT_EQ(damaged.kind(), ErrorKind::data);
  EXPECT_NE(std::string(damaged.what()).find("features.json"), std::string::npos);
  const auto report = validate_samples(set, {});
  EXPECT_FALSE(report.ok());
  EXPECT_NE(report.to_text().find("features.json"), std::string::npos);

  fs::remove(set + "/features.json");
  EXPECT_EQ(error_of([&] { train("gone", set); }).kind(), ErrorKind::input_missing);
  EXPECT_FALSE(validate_samples(set, {}).ok());
}

TEST_F(ConvertRecords, OtherFeaturesAreRefused) {
  const std::string csv = folder_.write("t.csv", table(60, true)),
                    other = folder_.write("o.csv", table(61, true));
  EXPECT_EQ(run_command({"convert", csv, folder_ / "set", "--label", "y"}), 0);
  EXPECT_EQ(run_command({"convert", other, folder_ / "other", "--label", "y"}), 0);
  EXPECT_EQ(run_command({"convert", csv, folder_ / "wide", "--label", "y", "-b", "8"}), 0);
  train("m", csv);
  for (const char* set : {"other", "wide"}) {
    const Error e = error_of([&] { predictions("m", folder_ / set); });
    EXPECT_EQ(e.kind(), ErrorKind::data) << set;
    EXPECT_NE(std::string(e.what()).find("features"), std::string::npos) << e.what();
  }
  // Features by number alone: a model of sparse rows knows nothing of columns.
  train("sparse", folder_.write("s.svm", "1 1:1\n-1 2:1\n"), {"--holdout", "0"});
  EXPECT_EQ(error_of([&] { predictions("sparse", folder_ / "set"); }).kind(), ErrorKind::data);
}

TEST_F(ConvertRecords, LabelsOfAnotherOriginMustBeClasses) {
  const std::string csv = folder_.write("t.csv", "a,y\n1,no\n2,yes\n3,yes\n4,no\n");
  train("m", csv, {"--holdout", "0"});
  const std::string svm = folder_.write("s.svm", "0 1:1\n7 1:1\n");
  EXPECT_EQ(run_command({"convert", svm, folder_ / "set"}), 0);
  const Error e = error_of([&] {
    run_command({"evaluate", path("m"), "--data", folder_ / "set"});
  });
  EXPECT_EQ(e.kind(), ErrorKind::data);
  EXPECT_NE(std::string(e.what()).find("row 2"), std::string::npos) << e.what();
}

/// Reads standard input from a file while it lives.
class InputFrom {
 public:
  explicit InputFrom(const std::string& path) : kept_(::dup(STDIN_FILENO)) {
    const int file = ::open(path.c_str(), O_RDONLY);
    EXPECT_EQ(::dup2(file, STDIN_FILENO), STDIN_FILENO);
    ::close(file);
  }
  ~InputFrom() {
    ::dup2(kept_, STDIN_FILENO);
    ::close(kept_);
  }

 private:
  int kept_;
};

TEST_F(ConvertRecords, PredictionReadsStandardInput) {
  const std::string csv = folder_.write("t.csv", table(60, true));
  train("m", csv);
  const auto from = [&](const std::string& path) {
    const InputFrom input(path);
    return predictions("m", "-");
  };
  const std::string whole = predictions("m", csv);
  EXPECT_EQ(from(csv), whole);
  const std::string header = "age,city,note,score\n", row = "31,Oslo,n1 common,0.5\n";
  EXPECT_EQ(from(folder_.write("one.csv", header + row)),
            from(folder_.write("one.jsonl",
                               "{\"age\":31,\"city\":\"Oslo\",\"score\":0.5,"
                               "\"note\":\"n1 common\"}\n")));
  const Error e = error_of([&] { from(folder_.write("bad.csv", header + row + "x,Oslo,,1\n")); });
  EXPECT_EQ(e.kind(), ErrorKind::data);
  EXPECT_NE(std::string(e.what()).find("stdin.csv:3"), std::string::npos) << e.what();
}

TEST_F(ConvertRecords, WithoutALabelATableIsOneOfRatings) {
  std::string text = "user,item,rating\n";
  for (int i = 0; i < 30; ++i)
    text += std::to_string(i % 5) + "," + std::to_string(i % 7) + ",3.5\n";
  EXPECT_EQ(run_command({"convert", folder_.write("r.csv", text), folder_ / "set"}), 0);
  EXPECT_EQ(read_dataset(folder_ / "set").kind, DataKind::ratings);
}

TEST_F(ConvertRecords, AdultFromItsExampleConfiguration) {
  const std::string config = std::string(GRADMILL_SOURCE_DIR) + "/launch/configs/adult.toml";
  const std::string csv = kExamples + "adult/adult-train.csv.gz",
                    test = kExamples + "adult/adult-test.csv.gz", set = folder_ / "set";
  EXPECT_EQ(run_command({"convert", config, set, "--shards", "4", "--set", "data.train=" + csv}),
            0);
  const std::vector<std::string> same{"--valid", test,     "--dir", dir(),   "--epochs",
                                      "3",       "--data", csv,     "--name"};
  auto words = same;
  words.insert(words.begin(), {"train", config});
  words.emplace_back("csv");
  EXPECT_EQ(run_command(words), 0);
  train("set", set, {"--valid", test, "--epochs", "3", "--l2", "1e-5"});
  EXPECT_EQ(parameters("set"), parameters("csv"));
  EXPECT_EQ(predictions("set", test), predictions("csv", test));
}

}  // namespace
}  // namespace gradmill
