// Whole runs of MLPs in process, and what the verbs make of their models.
#include "launch/mlp_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch/inspect_checkpoint.h"
#include "launch/metrics_log.h"
#include "launch/mlp_model.h"
#include "launch/safetensors.h"
#include "tests/support/command.h"
#include "tests/support/error_of.h"
#include "tests/support/linear_files.h"
#include "tests/support/record_files.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {
using testing::error_of;
using testing::libsvm_text;
using testing::read_bytes;
using testing::record_config;
using testing::record_text;
using testing::run_command;
using testing::TemporaryFolder;

class MlpRun : public ::testing::Test {
 protected:
  /// what: "mlp" or a configuration file.
  void train(const std::string& name, const std::string& what, std::vector<std::string> more = {}) {
    std::vector<std::string> words{"train",  what, "--dir",    dir(),
                                   "--name", name, "--device", "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(run_command(words), 0);
  }
  /// A configuration for the records of record_text.
  std::string config(const std::string& data, const std::string& more = {}) const {
    return folder_.write("run.toml", record_config(data, more));
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
  MlpModel model(const std::string& name) const { return MlpModel::load(cpu_, cpu_, path(name)); }
  std::string evaluated(const std::string& name, const std::string& data) const {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(run_command({"evaluate", path(name), "--data", data, "--json"}), 0);
    return ::testing::internal::GetCapturedStdout();
  }

  TemporaryFolder folder_;
  Context cpu_ = Context::cpu(1);
};

TEST_F(MlpRun, LearnsWhatALinearModelCannot) {
  const std::string data = folder_.write("d.csv", record_text(2000, 2, 1));
  train("two", config(data), {"--epochs", "12", "--learning-rate", "0.01"});
  EXPECT_GT(last("two", "accuracy"), 0.9);
  train("linear", folder_.write("linear.toml", "[data]\ntrain = \"" + data +
                                                   "\"\nweight = \"weight\"\n[model]\nkind = "
                                                   "\"linear\"\n"));
  EXPECT_LT(last("linear", "accuracy"), 0.85);
  const MlpModel m = model("two");
  EXPECT_EQ(m.inputs.classes, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(m.link, Link::logistic);
  ASSERT_EQ(m.shape.fields.size(), 4u);  // size, age, city, tags
  EXPECT_FALSE(m.shape.fields[1].categorical);
  EXPECT_EQ(m.shape.fields[3].count, 64);
  EXPECT_TRUE(std::filesystem::exists(path("two") + "/report.html"));
}

TEST_F(MlpRun, FindsTheLossOfItself) {
  train("three", config(folder_.write("3.csv", record_text(1500, 3, 1))),
        {"--epochs", "10", "--learning-rate", "0.01"});
  EXPECT_EQ(model("three").shape.outputs, 3);
  EXPECT_EQ(model("three").link, Link::softmax);
  EXPECT_GT(last("three", "accuracy"), 0.8);
  train("value", config(folder_.write("0.csv", record_text(1500, 0, 1))),
        {"--epochs", "10", "--learning-rate", "0.01"});
  EXPECT_TRUE(model("value").inputs.classes.empty());
  EXPECT_GT(last("value", "r2"), 0.9);
}

// A label times 1000 plus 5e5 is learned as well, and predicted in its own units.
TEST_F(MlpRun, LabelsOfAnyScaleAreLearned) {
  std::string moved;
  const std::string text = record_text(800, 0, 1);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at), comma = text.rfind(',', end);
    moved += text.substr(at, comma + 1 - at);
    const std::string label = text.substr(comma + 1, end - comma - 1);
    moved += label == "label" ? label : std::to_string(5e5 + 1000 * std::stod(label));
    moved += '\n';
    at = end + 1;
  }
  const std::string valid = folder_.write("v.csv", moved);
  train("plain", config(folder_.write("p.csv", text)),
        {"--valid", folder_ / "p.csv", "--epochs", "10", "--learning-rate", "0.01", "--patience",
         "0"});
  for (const std::string loss : {"squared", "huber", "quantile"}) {
    train(loss, config(valid),
          {"--valid", valid, "--epochs", "10", "--learning-rate", "0.01", "--loss", loss, "--set",
           "train.patience=0"});
    EXPECT_NEAR(last(loss, "r2"), last("plain", "r2"), 0.03) << loss;
  }
  const double rmse = last("squared", "rmse");
  EXPECT_GT(rmse, 50);
  EXPECT_NEAR(last("squared", "loss"), rmse * rmse / 2, rmse * rmse / 4);  // loss: half the square
  EXPECT_EQ(nlohmann::json::parse(evaluated("squared", valid))["rmse"].get<double>(),
            model("squared").info.metrics.at("rmse"));
  train("none", config(valid), {"--set", "model.label_scale=none"});
  EXPECT_LT(last("none", "r2"), 0);
}

TEST_F(MlpRun, EveryOptimizerAndOptionResumesToTheSameBits) {
  const std::string data = folder_.write("d.csv", record_text(300, 2, 5));
  const std::vector<std::string> cases[] = {
      {"optimizer.kind=sgd", "optimizer.nesterov=true", "optimizer.clip_norm=0.5"},
      {"optimizer.kind=adagrad", "model.wide=true", "train.accumulate=2"},
      {"optimizer.kind=adam", "model.dropout=0.3", "optimizer.average_decay=0.9"},
      {"optimizer.kind=adamw", "model.norm=layer", "model.residual=true", "model.bag=mean",
       "optimizer.schedule=inverse_sqrt", "loss.class_weight=balanced"}};
  int number = 0;
  for (const std::vector<std::string>& keys : cases) {
    const std::string name = std::to_string(number++);
    auto part = [&](const std::string& as, const std::string& epochs) {
      std::vector<std::string> more{"--epochs", epochs, "--resume", "auto", "--patience", "0"};
      for (const std::string& key : keys) more.insert(more.end(), {"--set", key});
      train(as, config(data), more);
    };
    part(name + "-whole", "4");
    for (const char* epochs : {"2", "4"}) part(name + "-parts", epochs);
    for (const std::string place : {"/model", "/checkpoints/step-00000004"})
      EXPECT_EQ(tensors(name + "-whole" + place), tensors(name + "-parts" + place))
          << keys[0] << place;
    EXPECT_EQ(read_metrics(path(name + "-parts") + "/metrics.jsonl").size(), 4u);
  }
}

TEST_F(MlpRun, TheSameRecordsInOtherFormatsGiveTheSameModel) {
  const std::string csv = folder_.write("d.csv", record_text(400, 2, 7));
  train("csv", config(csv));
  for (const std::string to : {"hdf5", "tfrecord"}) {
    ASSERT_EQ(run_command({"convert", config(csv), folder_ / to, "--to", to, "--shards", "3"}), 0);
    train(to, folder_.write("converted.toml",
                            "[data]\ntrain = \"" + folder_ / to +
                                "\"\n[model]\nkind = \"mlp\"\nhidden = [16, 8]\nembedding_dim = 4\n"
                                "[train]\nglobal_batch = 32\nepochs = 4\n"));
    EXPECT_EQ(tensors(to + "/model"), tensors("csv/model"));
  }
}

TEST_F(MlpRun, SparseRowsAreDenseInputsOrOneBag) {
  const std::string data = folder_.write("d.svm", libsvm_text(600, 25, 3, 5));
  const std::vector<std::string> more{"--data", data, "--hidden", "32", "--learning-rate", "0.01"};
  train("dense", "mlp", more);
  EXPECT_FALSE(model("dense").shape.fields[0].categorical);
  EXPECT_GT(last("dense", "accuracy"), 0.6);
  auto embedded = more;
  embedded.insert(embedded.end(), {"--set", "model.sparse_rows=embedding"});
  train("bag", "mlp", embedded);
  EXPECT_TRUE(model("bag").shape.fields[0].categorical);
  EXPECT_GT(last("bag", "accuracy"), 0.5);
}

TEST_F(MlpRun, PredictsAndMeasuresAsInTraining) {
  const std::string data = folder_.write("d.csv", record_text(600, 2, 1)),
                    held_out = folder_.write("v.csv", record_text(200, 2, 2));
  train("m", config(data), {"--valid", held_out, "--patience", "0"});
  const auto measured = nlohmann::json::parse(evaluated("m", held_out));
  EXPECT_EQ(measured["samples"], 200);
  const MlpModel m = model("m");  // the best, whose metrics its manifest has
  for (const char* name : {"accuracy", "log_loss", "auc"})
    EXPECT_EQ(measured[name].get<double>(), m.info.metrics.at(name)) << name;

  const std::string out = folder_ / "p.csv";
  ASSERT_EQ(run_command({"predict", path("m"), "--data", held_out, "--output", out, "--scores"}),
            0);
  const std::string text = read_bytes(out);
  EXPECT_EQ(text.substr(0, text.find('\n')), "prediction,probability_no,probability_yes,score_yes");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 201);
}

TEST_F(MlpRun, ExportsWhatItsTensorsMean) {
  train("m", config(folder_.write("d.csv", record_text(300, 2, 1))), {"--epochs", "1"});
  const std::string out = folder_ / "m.safetensors";
  ASSERT_EQ(run_command({"export", path("m"), "--output", out}), 0);
  const std::string bytes = read_bytes(out);
  std::uint64_t size = 0;
  std::copy_n(bytes.data(), sizeof size, reinterpret_cast<char*>(&size));
  const auto header = nlohmann::json::parse(bytes.substr(8, size));
  const MlpModel m = model("m");
  EXPECT_EQ(header["hidden.0.weight"]["shape"], (std::vector<int>{16, 2 + 2 * 4}));
  EXPECT_EQ(header["embedding"]["shape"][1], 4);
  EXPECT_EQ(header["embedding"]["shape"][0].get<int>(), m.inputs.num_features - 2);
  EXPECT_EQ(header["__metadata__"]["activation"], "relu");
  EXPECT_TRUE(header.contains("embedding_names.bytes"));
  EXPECT_NE(inspect_path(path("m"), false).find("hidden.1.weight"), std::string::npos);
}

TEST_F(MlpRun, StartsFromAnotherModel) {
  const std::string data = folder_.write("d.csv", record_text(400, 2, 1));
  train("first", config(data), {"--patience", "0"});
  train("second", config(data), {"--init", path("first"), "--epochs", "1"});
  train("cold", config(data), {"--epochs", "1"});
  EXPECT_LT(last("second", "loss"), last("cold", "loss"));
  // Another head and rate of averaging: what fits is taken.
  train("wider", config(data),
        {"--init", path("first"), "--epochs", "1", "--hidden", "16,32", "--set",
         "optimizer.average_decay=0.9"});
  EXPECT_LT(last("wider", "loss"), last("cold", "loss"));
}

TEST_F(MlpRun, RefusesWhatDoesNotFit) {
  const std::string data = folder_.write("d.csv", record_text(50, 2, 1));
  int number = 0;  // some are refused when the run's folder is there already
  const auto refusal = [&](std::vector<std::string> more) {
    const std::string name = std::to_string(number++);
    return error_of([&] { train(name, config(data), std::move(more)); });
  };
  const std::pair<const char*, const char*> cases[] = {
      {"model.hidden=8,x", "model.hidden is \"8,x\""},
      {"model.activation=mish", "model.activation is \"mish\"; it must be one of relu"},
      {"model.dropout=1", "model.dropout is 1; it must be in [0, 0.99]"},
      {"model.bag=max", "model.bag"},
      {"model.num_factors=8", "--set: model.num_factors does not apply to a model of kind \"mlp\""},
      {"optimizer.tolerance=0.1", "optimizer.tolerance does not apply"},
      {"loss.kind=hinge", "loss.kind is \"hinge\"; it must be one of"},
      {"optimizer.kind=lbfgs", "optimizer.kind is \"lbfgs\""},
      {"optimizer.schedule=sometimes", "optimizer.schedule is \"sometimes\""},
      {"train.global_batch=0", "train.global_batch is 0"},
      {"loss.class_weight=maybe=2", "maybe"},
      {"loss.kind=squared", "labels are text"},
      {"train.metric=rmse", "not a metric of a classification"},
      {"model.hiden=8", "unknown key \"hiden\" in [model]; did you mean"}};
  for (const auto& [key, message] : cases) {
    const Error error = refusal({"--set", key});
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos)
        << key << ": " << error.what();
  }
  train("mlp", config(data), {"--epochs", "1"});
  EXPECT_EQ(error_of([&] {
              train("x", config(data), {"--init", folder_ / "nothing"});
            }).kind(),
            ErrorKind::input_missing);
}

TEST_F(MlpRun, ALossThatIsNotFiniteEndsTheRun) {
  const std::string data = folder_.write("d.csv", record_text(200, 0, 1));
  const Error error = error_of([&] {
    train("bad", config(data), {"--set", "optimizer.kind=sgd", "--learning-rate", "1e6"});
  });
  EXPECT_EQ(error.kind(), ErrorKind::not_finite);
  EXPECT_FALSE(std::filesystem::exists(path("bad") + "/model"));
}

}  // namespace
}  // namespace gradmill
