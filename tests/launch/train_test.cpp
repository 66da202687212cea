// Whole runs in process: what `gradmill train` leaves behind, and that it does so again.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "dist/world.h"
#include "launch/metrics_log.h"
#include "launch/mf_model.h"
#include "launch/options.h"
#include "launch/recommend.h"
#include "launch/verbs.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::TemporaryFolder;
namespace fs = std::filesystem;

const std::string kExample =
    std::string(GRADMILL_SOURCE_DIR) + "/data/examples/movielens/sample_movielens_ratings.txt";

void train(std::vector<std::string> arguments) {
  std::vector<const char*> argv{"gradmill", "train", "mf", "--quiet"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const auto parsed = parse_command_line(static_cast<int>(argv.size()), argv.data());
  ASSERT_FALSE(parsed.exit.has_value());
  Log log(0, LogLevel::error);
  const auto world = World::start();
  EXPECT_EQ(train_verb(parsed.options, *world, log), 0);
}

std::string tensors_of(const fs::path& folder) {
  return testing::read_bytes(folder / "rank-00000.safetensors");
}

TEST(Train, LeavesARunWithModelMetricsAndReport) {
  const TemporaryFolder folder;
  const std::string dir = folder / "r";
  train({"--data", kExample, "--dir", dir, "--name", "a", "--epochs", "4", "--patience", "0",
         "--threads", "2"});
  const fs::path run = fs::path(dir) / "a";
  for (const char* file : {"config.toml", "env.json", "metrics.jsonl", "report.html",
                           "model/manifest.json", "log/rank-000.log"})
    EXPECT_TRUE(fs::exists(run / file)) << file;
  const auto metrics = read_metrics((run / "metrics.jsonl").string());
  ASSERT_EQ(metrics.size(), 4u);
  double rmse = 0;
  for (const auto& [name, value] : metrics.back().values)
    if (name == "rmse") rmse = value;
  EXPECT_NEAR(rmse, 0.92, 0.04);  // of a holdout of 151 ratings
}

TEST(Train, TheSameSeedGivesTheSameBytes) {
  const TemporaryFolder folder;
  for (const char* algorithm : {"als", "sgd", "ials"}) {
    const std::string a = std::string(algorithm) + "-a", b = std::string(algorithm) + "-b";
    for (const std::string& name : {a, b})
      train({"--data", kExample, "--dir", folder / "r", "--name", name, "--algorithm", algorithm,
             "--epochs", "3", "--threads", name == a ? "1" : "3"});
    EXPECT_EQ(tensors_of(fs::path(folder / "r") / a / "model"),
              tensors_of(fs::path(folder / "r") / b / "model"))
        << algorithm;
  }
}

TEST(Train, AResumedRunHasTheBytesOfAnUninterruptedOne) {
  const TemporaryFolder folder;
  const fs::path dir(folder / "r");
  for (const char* algorithm : {"als", "sgd", "ials"}) {
    const std::string whole = std::string(algorithm) + "-whole",
                      parts = std::string(algorithm) + "-parts";
    const std::vector<std::string> common{"--data",      kExample,  "--dir",      folder / "r",
                                          "--algorithm", algorithm, "--patience", "0"};
    auto run = [&](const std::string& name, const char* epochs, const char* resume) {
      auto arguments = common;
      for (const std::string& more :
           {std::string("--name"), name, std::string("--epochs"), std::string(epochs),
            std::string("--resume"), std::string(resume)})
        arguments.push_back(more);
      train(arguments);
    };
    run(whole, "6", "no");
    run(parts, "2", "auto");
    run(parts, "5", "auto");
    run(parts, "6", "auto");
    EXPECT_EQ(tensors_of(dir / whole / "checkpoints/step-00000006"),
              tensors_of(dir / parts / "checkpoints/step-00000006"))
        << algorithm;
    EXPECT_EQ(tensors_of(dir / whole / "model"), tensors_of(dir / parts / "model")) << algorithm;
    EXPECT_EQ(read_metrics((dir / parts / "metrics.jsonl").string()).size(), 6u);
  }
}

TEST(Train, ADamagedCheckpointIsPassedOverAndTheBitsStayRight) {
  const TemporaryFolder folder;
  const fs::path dir(folder / "r");
  const std::vector<std::string> common{"--data",     kExample, "--dir",    folder / "r",
                                        "--patience", "0",      "--resume", "auto"};
  auto run = [&](const std::string& name, const std::string& epochs) {
    auto arguments = common;
    arguments.insert(arguments.end(), {"--name", name, "--epochs", epochs});
    train(arguments);
  };
  run("whole", "4");
  run("hurt", "3");
  const fs::path file = dir / "hurt/checkpoints/step-00000003/rank-00000.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  run("hurt", "4");
  EXPECT_EQ(tensors_of(dir / "whole/model"), tensors_of(dir / "hurt/model"));
}

TEST(Train, AnotherModelOrOtherDataIsNotResumed) {
  const TemporaryFolder folder;
  auto kind_of = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"--data", kExample,   "--dir", folder / "r", "--name",
                                       "a",      "--resume", "auto",  "--epochs",   "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    try {
      train(arguments);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::preempted;  // no error
  };
  EXPECT_EQ(kind_of({}), ErrorKind::preempted);
  EXPECT_EQ(kind_of({"--num-factors", "7"}), ErrorKind::checkpoint);
  EXPECT_EQ(kind_of({"--holdout", "0.3"}), ErrorKind::checkpoint);
  EXPECT_EQ(kind_of({}), ErrorKind::preempted);
}

TEST(Train, AStrictResumeRefusesAnotherConfiguration) {
  const TemporaryFolder folder;
  const std::string dir = folder / "r";
  const auto go_on = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"--data",   kExample, "--dir",     dir, "--name",   "a",
                                       "--resume", "auto",   "--holdout", "0", "--epochs", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    train(arguments);
  };
  go_on({});
  EXPECT_EQ(testing::error_of([&] {
              go_on({"--set", "checkpoint.strict=true", "--set", "train.epochs=3"});
            }).kind(),
            ErrorKind::checkpoint);
  go_on({"--set", "checkpoint.strict=true", "--set", "checkpoint.keep=5"});
  go_on({"--set", "train.epochs=3"});
  EXPECT_EQ(read_metrics(dir + "/a/metrics.jsonl").size(), 3u);
}

TEST(Train, AWarmStartBeginsWhereTheOldModelEnded) {
  const TemporaryFolder folder;
  const std::string dir = folder / "r";
  train({"--data", kExample, "--dir", dir, "--name", "old", "--epochs", "5", "--holdout", "0"});
  train({"--data", kExample, "--dir", dir, "--name", "new", "--epochs", "1", "--holdout", "0",
         "--init", dir + "/old"});
  train({"--data", kExample, "--dir", dir, "--name", "cold", "--epochs", "1", "--holdout", "0"});
  auto loss = [&](const char* name) {
    return read_metrics(dir + "/" + name + "/metrics.jsonl").back().values.front().second;
  };
  EXPECT_LE(loss("new"), loss("old") * 1.01);
  EXPECT_GT(loss("cold"), loss("new"));
}

TEST(Train, RecommendationsLeaveOutWhatWasSeen) {
  const TemporaryFolder folder;
  train({"--data", kExample, "--dir", folder / "r", "--name", "a", "--epochs", "3", "--holdout",
         "0"});
  const Context ctx = Context::cpu(1);
  const MfModel model = MfModel::load(ctx, ctx, folder / "r/a");
  const FactorsView view = model.view();
  const auto seen = model.seen().view();
  ASSERT_EQ(seen.rows, model.users().size());
  Audience audience{{}, view.users, view.user_biases, {}, {}};
  for (std::int32_t user = 0; user < model.users().size(); ++user) {
    audience.names.push_back(model.users().text(user));
    audience.rows.push_back(user);
    audience.excluded.emplace_back(seen.indices + seen.offsets[user],
                                   seen.indices + seen.offsets[user + 1]);
  }
  std::size_t at = 0;
  recommend(ctx, ctx, model, audience, 20, [&](const Recommendation& best) {
    EXPECT_EQ(best.user, audience.names[at]);
    EXPECT_EQ(best.items.size(), 20u);
    for (std::size_t i = 0; i < best.items.size(); ++i) {
      EXPECT_FALSE(std::binary_search(audience.excluded[at].begin(), audience.excluded[at].end(),
                                      best.items[i]));
      if (i > 0) {
        EXPECT_LE(best.scores[i], best.scores[i - 1]);
      }
    }
    ++at;
  });
  EXPECT_EQ(at, audience.names.size());
}

TEST(Train, UnusualDataAreDefined) {
  const TemporaryFolder folder;
  auto kind_of = [&](const std::string& data) {
    try {
      train({"--data", data, "--dir", folder / "r/runs", "--epochs", "2", "--holdout", "0"});
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::preempted;  // no error
  };
  EXPECT_EQ(kind_of(folder.write("one.csv", "user,item,rating\nann,tea,4\n")),
            ErrorKind::preempted);
  EXPECT_EQ(kind_of(folder.write("twice.csv", "user,item,rating\n1,2,4\n1,2,2\n1,2,4\n")),
            ErrorKind::preempted);
  EXPECT_EQ(kind_of(folder.write("empty.csv", "")), ErrorKind::data);
  EXPECT_EQ(kind_of(folder.write("header.csv", "user,item,rating\n")), ErrorKind::data);
  EXPECT_EQ(kind_of(folder.write("nan.csv", "user,item,rating\n1,2,nan\n")), ErrorKind::data);
  EXPECT_EQ(kind_of(folder.write("inf.csv", "user,item,rating\n1,2,1e99\n")), ErrorKind::data);
  EXPECT_EQ(kind_of(folder / "none.csv"), ErrorKind::input_missing);
}

}  // namespace
}  // namespace gradmill
