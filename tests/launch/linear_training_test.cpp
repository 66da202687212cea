// Whole runs of linear models in process, and what the verbs make of their models.
#include "launch/linear_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch/linear_export.h"
#include "launch/linear_model.h"
#include "launch/metrics_log.h"
#include "tests/support/command.h"
#include "tests/support/error_of.h"
#include "tests/support/linear_files.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {
namespace fs = std::filesystem;
using testing::error_of;
using testing::libsvm_text;
using testing::read_bytes;
using testing::run_command;
using testing::shared_data;
using testing::TemporaryFolder;

const std::string kExamples = std::string(GRADMILL_SOURCE_DIR) + "/data/examples/";
const std::string kConfigs = std::string(GRADMILL_SOURCE_DIR) + "/launch/configs/";

class LinearRun : public ::testing::Test {
 protected:
  void train(const std::string& name, const std::string& data, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"train", "linear", "--data", data,
                                   "--dir", dir(),    "--name", name};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(run_command(words), 0);
  }
  std::string dir() const { return folder_ / "runs"; }
  std::string path(const std::string& name) const { return dir() + "/" + name; }
  std::string tensors(const std::string& name) const {
    return read_bytes(path(name) + "/rank-00000.safetensors");
  }
  double last(const std::string& name, const std::string& metric) const {
    const auto records = read_metrics(path(name) + "/metrics.jsonl");
    for (const auto& [key, value] : records.back().values)
      if (key == metric) return value;
    ADD_FAILURE() << name << " has no " << metric;
    return 0;
  }
  LinearModel model(const std::string& name) const { return LinearModel::load(cpu_, path(name)); }

  TemporaryFolder folder_;
  Context cpu_ = Context::cpu(1);
};

TEST_F(LinearRun, FindsTheClassesAndTheLossOfItself) {
  const auto text = [&](int classes) { return libsvm_text(400, 20, classes, 3); };
  train("two", folder_.write("two.svm", text(2)));
  EXPECT_EQ(model("two").inputs().classes, (std::vector<std::string>{"-1", "1"}));
  EXPECT_EQ(model("two").link(), Link::logistic);
  EXPECT_GT(last("two", "accuracy"), 0.75);
  EXPECT_GT(last("two", "auc"), 0.8);
  train("four", folder_.write("four.svm", text(4)));
  EXPECT_EQ(model("four").inputs().classes, (std::vector<std::string>{"1", "2", "3", "4"}));
  EXPECT_EQ(model("four").link(), Link::softmax);
  EXPECT_EQ(model("four").outputs(), 4);
  train("value", folder_.write("value.svm", text(0)));
  EXPECT_TRUE(model("value").inputs().classes.empty());
  EXPECT_LT(last("value", "rmse"), 0.8);
  train("forced", folder_ / "four.svm", {"--loss", "squared"});
  EXPECT_TRUE(model("forced").inputs().classes.empty());
}

TEST_F(LinearRun, EveryOptimizerResumesToTheSameBits) {
  const std::string data = folder_.write("d.svm", libsvm_text(300, 25, 2, 5));
  for (const std::string optimizer :
       {"lbfgs", "owlqn", "newton_cg", "sgd", "adagrad", "adam", "adamw", "ftrl"}) {
    auto part = [&](const std::string& name, const std::string& epochs) {
      train(name, data,
            {"--optimizer", optimizer, "--epochs", epochs, "--resume", "auto", "--patience", "0",
             "--tolerance", "0", "--set", "checkpoint.seconds=0"});
    };
    part(optimizer + "-whole", "4");
    for (const char* epochs : {"2", "4"}) part(optimizer + "-parts", epochs);
    for (const std::string place : {"/model", "/checkpoints/step-00000004"})
      EXPECT_EQ(tensors(optimizer + "-whole" + place), tensors(optimizer + "-parts" + place))
          << optimizer << place;
    EXPECT_EQ(read_metrics(path(optimizer + "-parts") + "/metrics.jsonl").size(), 4u);
  }
}

TEST_F(LinearRun, AConvergedRunIsNotGoneOnWith) {
  const std::string data = folder_.write("d.svm", libsvm_text(300, 25, 2, 5));
  train("a", data, {"--resume", "auto", "--l2", "1e-3"});
  const auto lines = read_bytes(path("a") + "/metrics.jsonl");
  train("a", data, {"--resume", "auto", "--l2", "1e-3"});
  EXPECT_EQ(read_bytes(path("a") + "/metrics.jsonl"), lines);
  EXPECT_EQ(error_of([&] {
              train("a", data, {"--resume", "auto", "--l2", "1e-2"});
            }).kind(),
            ErrorKind::checkpoint);
}

TEST_F(LinearRun, ThreadsDoNotChangeABit) {
  const std::string data = folder_.write("d.svm", libsvm_text(500, 25, 2, 5));
  for (const char* optimizer : {"lbfgs", "adagrad"}) {
    const std::string o(optimizer);
    train(o + "1", data, {"--optimizer", o, "--epochs", "4", "--threads", "1"});
    train(o + "3", data, {"--optimizer", o, "--epochs", "4", "--threads", "3"});
    EXPECT_EQ(tensors(o + "1/model"), tensors(o + "3/model"));
  }
}

TEST_F(LinearRun, AWarmStartBeginsAtTheOldOptimum) {
  const std::string data = folder_.write("d.svm", libsvm_text(300, 25, 2, 5));
  train("old", data, {"--l2", "1e-3"});
  train("new", data, {"--l2", "1e-3", "--init", path("old")});
  EXPECT_LE(read_metrics(path("new") + "/metrics.jsonl").size(), 2u);
  EXPECT_NEAR(last("new", "loss"), last("old", "loss"), 1e-7);
  // Online: a new file whose rows have the features of the model, or are refused.
  const std::string more = folder_.write("more.svm", "1 1:1 3:2\n-1 2:1\n1 3:1\n-1 2:2 9:1\n");
  train("online", more,
        {"--optimizer", "sgd", "--epochs", "1", "--init", path("old"), "--holdout", "0"});
  EXPECT_EQ(model("online").inputs().num_features, model("old").inputs().num_features);
  const std::string wide = folder_.write("wide.svm", "1 1:1\n-1 99:1\n");
  const Error error = error_of([&] { train("w", wide, {"--init", path("old")}); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_NE(std::string(error.what()).find(":2"), std::string::npos) << error.what();
}

TEST_F(LinearRun, PredictionsAreThoseOfTheCoefficients) {
  const std::string data = folder_.write("d.svm", libsvm_text(200, 12, 2, 5));
  train("a", data, {"--holdout", "0"});
  const LinearModel m = model("a");
  // A feature that the model does not have, and labels that are no class, change nothing.
  const std::string rows = folder_.write("new.svm", "7 1:2 3:1\n0 500:3\n");
  EXPECT_EQ(run_command(
                {"predict", path("a"), "--data", rows, "--output", folder_ / "p.csv", "--scores"}),
            0);
  const std::string csv = read_bytes(folder_ / "p.csv");
  EXPECT_EQ(csv.substr(0, csv.find('\n')), "prediction,probability_-1,probability_1,score_1");
  const double score = m.intercepts()[0] + 2.0 * m.coefficients()[0] + m.coefficients()[2];
  const std::string line = csv.substr(csv.find('\n') + 1);
  EXPECT_EQ(line.substr(0, line.find(',')), score > 0 ? "1" : "-1");
  EXPECT_NEAR(std::stod(line.substr(line.substr(0, line.find('\n')).rfind(',') + 1)), score, 1e-5);
  EXPECT_EQ(run_command({"predict", path("a"), "--data", rows, "--output", folder_ / "p.jsonl"}),
            0);
  EXPECT_EQ(run_command({"predict", path("a"), "--data", rows, "--output", folder_ / "p.h5"}), 0);
  EXPECT_EQ(error_of([&] {
              run_command({"predict", path("a"), "--data", rows, "--output", folder_ / "p.xls"});
            }).kind(),
            ErrorKind::usage);
  EXPECT_EQ(error_of([&] {
              run_command({"evaluate", path("a"), "--data", rows});
            }).kind(),
            ErrorKind::data);  // 7 is no class
  EXPECT_EQ(error_of([&] {
              run_command({"evaluate", path("a"), "--data", rows, "--user-column", "u"});
            }).kind(),
            ErrorKind::usage);
}

TEST_F(LinearRun, CoefficientsAreListedAndExportedWithTheirNames) {
  std::string csv = "age,job,label\n";
  for (int i = 0; i < 60; ++i)
    csv += std::to_string(20 + i) + (i % 3 ? ",cook," : ",pilot,") +
           (i % 3 || i < 9 ? "no" : "yes") + "\n";
  train("a", folder_.write("d.csv", csv), {"--holdout", "0", "--l2", "1e-2"});
  const LinearModel m = model("a");
  EXPECT_EQ(m.inputs().classes, (std::vector<std::string>{"no", "yes"}));
  const std::string top = largest_coefficients(path("a"), 2, false);
  EXPECT_NE(top.find("yes: 4 features, 3 with"), std::string::npos) << top;
  EXPECT_NE(top.find("job="), std::string::npos) << top;
  EXPECT_EQ(run_command({"export", path("a"), "--output", folder_ / "w.csv"}), 0);
  const std::string exported = read_bytes(folder_ / "w.csv");
  EXPECT_EQ(exported.substr(0, 24), "feature,yes\n(intercept),") << exported;
  EXPECT_EQ(std::count(exported.begin(), exported.end(), '\n'), 6);  // with "job missing"
  EXPECT_EQ(run_command({"export", path("a"), "--output", folder_ / "w.safetensors"}), 0);
  const InputFile file = InputFile::open(folder_ / "w.safetensors");
  const auto header = SafetensorsHeader::read(file);
  EXPECT_EQ(header.find("coefficients")->shape, (std::vector<std::int64_t>{1, 4}));
  EXPECT_EQ(header.find("intercepts")->shape, (std::vector<std::int64_t>{1}));
  EXPECT_NE(header.find("feature_names.bytes"), nullptr);
  // Prediction without the label column, from another format.
  const std::string rows = folder_.write("new.jsonl", "{\"age\":30,\"job\":\"pilot\"}\n");
  EXPECT_EQ(run_command({"predict", path("a"), "--data", rows, "--output", folder_ / "p.csv"}), 0);
  EXPECT_NE(read_bytes(folder_ / "p.csv").find("yes,"), std::string::npos);
}

TEST_F(LinearRun, BadInputHasItsExitCode) {
  int number = 0;
  auto kind_of = [&](const std::string& name, const std::string& text,
                     std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--holdout", "0"});
    try {
      train("r" + std::to_string(++number), folder_.write(name, text), more);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::preempted;  // no error
  };
  EXPECT_EQ(kind_of("ok.svm", "1 1:1\n-1\n"), ErrorKind::preempted);
  EXPECT_EQ(kind_of("empty.svm", "", {"--format", "libsvm"}), ErrorKind::data);
  EXPECT_EQ(kind_of("nan.svm", "1 1:nan\n-1 1:1\n"), ErrorKind::data);
  EXPECT_EQ(kind_of("twice.svm", "1 1:1 1:2\n-1 1:1\n"), ErrorKind::data);
  EXPECT_EQ(kind_of("zero.svm", "1 0:1\n-1 1:1\n", {"--index-base", "1"}), ErrorKind::data);
  EXPECT_EQ(kind_of("far.svm", "1 1:1\n-1 9999999999:1\n"), ErrorKind::data);
  EXPECT_EQ(kind_of("wide.svm", "1 1:1\n-1 9:1\n", {"--num-features", "4"}), ErrorKind::data);
  EXPECT_EQ(kind_of("one.svm", "1 1:1\n1 2:1\n"), ErrorKind::data);
  EXPECT_EQ(kind_of("counts.svm", "-2 1:1\n1 2:1\n", {"--loss", "poisson"}), ErrorKind::data);
  EXPECT_EQ(kind_of("text.csv", "a,label\n1,x\n2,y\n", {"--loss", "squared"}), ErrorKind::data);
  EXPECT_EQ(kind_of("column.csv", "a,label\n1,x\n2,y\n", {"--label", "lable"}), ErrorKind::usage);
  EXPECT_EQ(kind_of("metric.svm", "1 1:1\n-1 2:1\n", {"--metric", "ndcg"}), ErrorKind::usage);
  EXPECT_EQ(kind_of("rank.svm", "1 1:1\n-1 2:1\n", {"--num-factors", "3"}), ErrorKind::usage);
  EXPECT_EQ(kind_of("weight.svm", "1 1:1\n-1 2:1\n", {"--class-weight", "5=2"}), ErrorKind::usage);
  EXPECT_EQ(kind_of("skip.svm", "1 1:1\n-1 2:1\n1 x:1\n", {"--bad-records", "skip"}),
            ErrorKind::preempted);
}

TEST_F(LinearRun, TheFormatCanBeSaid) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += i % 2 ? "{\"x\":1.5,\"label\":\"a\"}\n" : "{\"x\":-1,\"label\":\"b\"}\n";
  train("a", folder_.write("lines.txt", text), {"--format", "jsonl", "--holdout", "0"});
  EXPECT_EQ(model("a").inputs().feature_name(0), "x");
}

TEST_F(LinearRun, ClassWeightsMoveTheIntercept) {
  std::string text;
  for (int i = 0; i < 90; ++i) text += i % 9 ? "-1 1:1\n" : "1 1:1\n";
  const std::string data = folder_.write("d.svm", text);
  train("plain", data, {"--holdout", "0"});
  train("balanced", data, {"--holdout", "0", "--class-weight", "balanced"});
  const auto margin = [&](const std::string& name) {
    const LinearModel m = model(name);
    return m.intercepts()[0] + m.coefficients()[0];
  };
  EXPECT_NEAR(margin("plain"), std::log(10.0 / 80.0), 0.02);
  EXPECT_NEAR(margin("balanced"), 0, 0.02);
}

TEST_F(LinearRun, SpamIsFoundFromTheRawFileByTheExampleConfiguration) {
  EXPECT_EQ(
      run_command({"train", kConfigs + "sms-spam.toml", "--data",
                   kExamples + "sms-spam/SMSSpamCollection.gz", "--dir", dir(), "--name", "sms"}),
      0);
  EXPECT_GE(last("sms", "accuracy"), 0.975);
}

/// Spark's LogisticRegression with standardization = False has our objective; regParam is l2.
TEST_F(LinearRun, TheCoefficientsAreThoseOfSpark) {
  const auto golden = nlohmann::json::parse(
      read_bytes(std::string(GRADMILL_SOURCE_DIR) + "/tests/golden/spark_sms.json"));
  const std::string config = folder_.write("spark.toml",
                                           "[data]\nlabel = \"1\"\nquotes = false\nholdout = 0\n"
                                           "[[features]]\ncolumn = \"2\"\nkind = \"text\"\n"
                                           "hash_size = 1000\n[model]\nkind = \"linear\"\n"
                                           "[optimizer]\nkind = \"newton_cg\"\ntolerance = 1e-8\n");
  EXPECT_EQ(run_command({"train", config, "--data", kExamples + "sms-spam/SMSSpamCollection.gz",
                         "--dir", dir(), "--name", "sms", "--l2", golden.at("reg_param").dump()}),
            0);
  const LinearModel m = model("sms");
  const auto want = golden.at("coefficients").get<std::vector<double>>();
  ASSERT_EQ(m.coefficients().size(), want.size());
  for (std::size_t f = 0; f < want.size(); ++f)
    EXPECT_NEAR(m.coefficients()[f], want[f], 1e-4) << f;
  EXPECT_NEAR(m.intercepts()[0], golden.at("intercept").get<double>(), 1e-4);
  EXPECT_NEAR(last("sms", "loss"), golden.at("objective").get<double>(), 1e-7);
}

TEST_F(LinearRun, A9aReachesItsAccuracy) {
  const auto data = shared_data("a9a/a9a.gz"), test = shared_data("a9a/a9a.t.gz");
  if (!data || !test) GTEST_SKIP() << "no a9a in GRADMILL_SHARED_DATA";
  for (const std::string optimizer : {"auto", "lbfgs", "adagrad"}) {
    train(optimizer, *data, {"--valid", *test, "--l2", "3e-5", "--optimizer", optimizer});
    EXPECT_GE(last(optimizer, "accuracy"), 0.849) << optimizer;
    EXPECT_LE(last(optimizer, "log_loss"), 0.325) << optimizer;
  }
}

}  // namespace
}  // namespace gradmill
