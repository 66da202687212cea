// Linear models over ranks: the optimum is that of one rank, whatever rows a rank has.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <optional>

#include "dist/gather_strings.h"
#include "launch/linear_model.h"
#include "launch/linear_training.h"
#include "tests/support/command.h"
#include "tests/support/linear_files.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::run_command;
using testing::TemporaryFolder;
using testing::test_world;

/// The folder of rank 0, on every rank.
class Shared {
 public:
  Shared() : comm_(test_world().communicator(cpu_)) {
    path_ = on_every_rank(cpu_, *comm_, [&] {
      if (comm_->rank() == 0) folder_.emplace();
      return folder_ ? folder_->path() : std::string();
    })[0];
  }
  ~Shared() { comm_->barrier(); }
  std::string write(const std::string& name, const std::string& text) {
    if (folder_) folder_->write(name, text);
    comm_->barrier();
    return path_ + "/" + name;
  }
  LinearModel train(const std::string& name, const std::string& data,
                    std::vector<std::string> more) {
    std::vector<std::string> words{"train",  "linear", "--data",  data,        "--dir", path_,
                                   "--name", name,     "--quiet", "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    Log log(test_world().rank(), LogLevel::error);
    EXPECT_EQ(run_command(words, test_world(), log), 0);
    comm_->barrier();
    return LinearModel::load(cpu_, path_ + "/" + name);
  }

 private:
  Context cpu_ = Context::cpu(1);
  std::unique_ptr<Communicator> comm_;
  std::optional<TemporaryFolder> folder_;
  std::string path_;
};

TEST(LinearTrainingMpi, TheOptimumAndTheHoldoutDoNotDependOnTheRanks) {
  Shared shared;
  const std::string data = shared.write("d.svm", testing::libsvm_text(400, 15, 2, 7));
  for (const std::string optimizer : {"lbfgs", "newton_cg"}) {
    const LinearModel m = shared.train(
        optimizer, data, {"--optimizer", optimizer, "--l2", "1e-2", "--tolerance", "1e-7"});
    // Found on one rank.
    EXPECT_NEAR(m.info().metrics.at("loss"), 0.300050463, 1e-7) << optimizer;
    EXPECT_NEAR(m.info().metrics.at("accuracy"), 0.8108108108, 1e-9) << optimizer;
    EXPECT_NEAR(m.info().metrics.at("auc"), 0.9615384615, 1e-9) << optimizer;
  }
}

TEST(LinearTrainingMpi, TheSameRanksGiveTheSameBits) {
  Shared shared;
  const std::string data = shared.write("d.svm", testing::libsvm_text(300, 15, 3, 7));
  for (const std::string optimizer : {"lbfgs", "adagrad"}) {
    const std::vector<std::string> more{"--optimizer", optimizer, "--epochs", "4"};
    const LinearModel a = shared.train(optimizer + "a", data, more),
                      b = shared.train(optimizer + "b", data, more);
    EXPECT_EQ(a.coefficients(), b.coefficients()) << optimizer;
    EXPECT_EQ(a.intercepts(), b.intercepts()) << optimizer;
  }
}

TEST(LinearTrainingMpi, ARankWithoutRowsOrWithOneClassTakesPart) {
  Shared shared;
  const LinearModel two =
      shared.train("two", shared.write("two.svm", "1 1:1\n-1 2:1\n"), {"--holdout", "0"});
  EXPECT_EQ(two.inputs().num_features, 2);
  std::string sorted;  // every rank has one class only
  for (int i = 0; i < 120; ++i) sorted += i < 60 ? "-1 1:1 3:1\n" : "1 2:1 3:1\n";
  const LinearModel classes = shared.train("classes", shared.write("sorted.svm", sorted),
                                           {"--holdout", "0", "--l2", "0.01"});
  EXPECT_EQ(classes.inputs().classes, (std::vector<std::string>{"-1", "1"}));
  EXPECT_LT(classes.coefficients()[0], 0);
  EXPECT_GT(classes.coefficients()[1], 0);
}

/// More ranks than rows, one rank with all rows of its class, and whole runs of every solver.
TEST(LinearTrainingMpi, EverySolverTakesAnyShare) {
  Shared shared;
  const std::string two = shared.write("two.svm", "1 1:1\n-1 2:1\n");
  std::string sorted;  // every rank has one class only
  for (int i = 0; i < 120; ++i) sorted += i < 60 ? "-1 1:1 3:1\n" : "1 2:1 3:1\n";
  const std::string by_class = shared.write("sorted.svm", sorted);
  for (const std::string optimizer :
       {"lbfgs", "owlqn", "newton_cg", "sgd", "adagrad", "adam", "adamw", "ftrl"})
    for (const std::string exchange : {"auto", "sharded"}) {
      if (exchange == "sharded" &&
          (optimizer == "lbfgs" || optimizer == "owlqn" || optimizer == "newton_cg"))
        continue;
      SCOPED_TRACE(optimizer + ", " + exchange);
      const std::vector<std::string> more{
          "--optimizer", optimizer,  "--holdout", "0",     "--l2",
          "0.01",        "--epochs", "20",        "--set", "optimizer.exchange=" + exchange};
      const LinearModel few = shared.train("two-" + optimizer + exchange, two, more);
      EXPECT_EQ(few.inputs().num_features, 2);
      const LinearModel classes = shared.train("sorted-" + optimizer + exchange, by_class, more);
      EXPECT_LT(classes.coefficients()[0], 0);
      EXPECT_GT(classes.coefficients()[1], 0);
      for (const LinearModel* m : {&few, &classes})
        for (const float w : m->coefficients()) EXPECT_TRUE(std::isfinite(w));
    }
}

TEST(LinearTrainingMpi, FeaturesAreFittedOverAllRanks) {
  Shared shared;
  std::string csv = "city,size,label\n";
  for (int i = 0; i < 60; ++i)
    csv += std::string(i < 20   ? "rome"
                       : i < 40 ? "oslo"
                                : "lima") +
           "," + std::to_string(i) + "," + (i % 2 ? "yes" : "no") + "\n";
  const LinearModel m =
      shared.train("csv", shared.write("d.csv", csv), {"--holdout", "0", "--l2", "0.1"});
  ASSERT_EQ(m.inputs().num_features, 5);  // with "city missing"
  EXPECT_EQ(m.inputs().classes, (std::vector<std::string>{"no", "yes"}));
  std::vector<std::string> names;
  for (int f = 0; f < 5; ++f) names.push_back(m.inputs().feature_name(f));
  for (const char* name : {"city=lima", "city=oslo", "city=rome", "size"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

}  // namespace
}  // namespace gradmill
