// MLPs over ranks: the loss curve is that of one rank, whatever rows a rank has.
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "dist/gather_strings.h"
#include "launch/metrics_log.h"
#include "launch/mlp_model.h"
#include "tests/support/command.h"
#include "tests/support/record_files.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::record_config;
using testing::record_text;
using testing::run_command;
using testing::TemporaryFolder;
using testing::test_world;

/// Runs in a folder of rank 0.
class MlpTrainingMpi : public ::testing::Test {
 protected:
  MlpTrainingMpi() : comm_(test_world().communicator(cpu_)) {
    dir_ = on_every_rank(cpu_, *comm_, [&] {
      if (comm_->rank() == 0) folder_.emplace();
      return folder_ ? folder_->path() : std::string();
    })[0];
  }
  ~MlpTrainingMpi() override { comm_->barrier(); }

  std::string write(const std::string& name, const std::string& text) {
    if (folder_) folder_->write(name, text);
    comm_->barrier();
    return dir_ + "/" + name;
  }
  void train(const std::string& name, const std::string& config,
             const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"train", config,      "--dir", dir_,     "--name",
                                   name,    "--threads", "1",     "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    Log log(test_world().rank(), LogLevel::error);
    ASSERT_EQ(run_command(words, test_world(), log), 0);
    comm_->barrier();
  }
  std::vector<double> curve(const std::string& name, const std::string& metric) const {
    std::vector<double> values;
    for (const MetricsRecord& record : read_metrics(dir_ + "/" + name + "/metrics.jsonl"))
      for (const auto& [key, value] : record.values)
        if (key == metric) values.push_back(value);
    return values;
  }

  Context cpu_ = Context::cpu(1);
  std::unique_ptr<Communicator> comm_;
  std::optional<TemporaryFolder> folder_;
  std::string dir_;
};

constexpr const char* kEverything =
    "precision = \"fp32\"\n"
    "[loss]\nclass_weight = \"balanced\"\n"
    "[optimizer]\nlearning_rate = 0.01\nschedule = \"cosine\"\nclip_norm = 1.0\n";

// The figures are those of one rank. Other ranks add up the same float32 terms in another order: four epochs later 1 to
// 4 ranks differ by less than 2e-8 on one machine. 1e-5 leaves room for other vector widths, not for another model.
TEST_F(MlpTrainingMpi, TheLossCurveIsThatOfOneRank) {
  const std::string data = write("d.csv", record_text(500, 3, 4));
  const std::string config = write("run.toml", record_config(data, kEverything));
  struct Case {
    const char* name;
    std::vector<std::string> more;
    std::vector<double> losses;
    double accuracy;
  };
  const Case cases[] = {
      {"adamw", {}, {1.146372369, 1.057638978, 1.014483664, 0.993037633}, 0.5631067961},
      {"adagrad",
       {"--set", "optimizer.kind=adagrad", "--set", "model.wide=true", "--set", "model.bag=mean"},
       {1.153758200, 1.088439709, 1.070811658, 1.065173410},
       0.5242718447},
      {"sgd",
       {"--set", "optimizer.kind=sgd", "--set", "model.norm=layer", "--dropout", "0.2", "--set",
        "train.accumulate=3"},
       {1.245485740, 1.134033545, 1.077868251, 1.081590570},
       0.4174757282}};
  for (const Case& c : cases) {
    train(c.name, config, c.more);
    const std::vector<double> found = curve(c.name, "loss");
    ASSERT_EQ(found.size(), c.losses.size()) << ::testing::PrintToString(found);
    for (std::size_t e = 0; e < found.size(); ++e)
      EXPECT_NEAR(found[e], c.losses[e], 1e-5) << c.name << " epoch " << e + 1;
    EXPECT_NEAR(curve(c.name, "accuracy").back(), c.accuracy, 1e-9) << c.name;
  }
}

TEST_F(MlpTrainingMpi, ResumesToTheSameBits) {
  const std::string data = write("d.csv", record_text(300, 2, 5));
  const std::string config = write("run.toml", record_config(data));
  const std::vector<std::string> more{"--patience", "0", "--resume", "auto", "--epochs"};
  const auto until = [&](const std::string& name, const std::string& epochs) {
    std::vector<std::string> words = more;
    words.push_back(epochs);
    train(name, config, words);
  };
  until("whole", "4");
  until("parts", "2");
  until("parts", "4");
  const auto tensors = [&](const std::string& name) {
    return testing::read_bytes(dir_ + "/" + name + "/model/rank-00000.safetensors");
  };
  EXPECT_EQ(tensors("whole"), tensors("parts"));
}

TEST_F(MlpTrainingMpi, ARankWithoutRowsTakesPart) {
  const std::string data = write("d.csv", record_text(3, 0, 1));
  train("few", write("run.toml", record_config(data)), {"--holdout", "0"});
  EXPECT_EQ(curve("few", "loss").size(), 4u);
}

}  // namespace
}  // namespace gradmill
