#include "models/linear/solver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "models/linear/class_weights.h"
#include "tests/support/error_of.h"
#include "tests/support/linear_problem.h"

namespace gradmill {
namespace {
using testing::error_of;
using testing::linear_problem;
using testing::objective;
using testing::parameters_of;

struct Case {
  const char* optimizer;
  const char* loss;
  int classes;
  double l1;
};

LinearConfig config_of(const Case& c) {
  LinearConfig config;
  config.optimizer = c.optimizer;
  config.loss = c.loss;
  config.l2 = 1e-3;
  config.l1 = c.l1;
  config.tolerance = 1e-5;
  config.global_batch = 64;
  return with_defaults(config);
}

struct Trained {
  std::unique_ptr<LinearSolver> solver;
  std::vector<float> parameters;
};
Trained train(const Context& ctx, const LinearConfig& config, int classes, const Samples& samples,
              std::int64_t epochs) {
  static const std::unique_ptr<Communicator> comm = make_self_communicator();
  Trained t;
  t.solver = make_linear_solver(ctx, ctx, *comm, config, 3,
                                linear_shape(config, samples.num_features, classes), samples);
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch)
    if (!t.solver->run_epoch(epoch)) break;
  t.parameters = parameters_of(ctx, *t.solver);
  return t;
}

/// The largest violation of the conditions for a minimum, against the gradient at 0.
double violation(const Samples& s, const LinearConfig& config, int classes,
                 const std::vector<float>& parameters) {
  const LinearShape shape = linear_shape(config, s.num_features, classes);
  const Loss loss = linear_loss(config, classes);
  const auto at = objective(s, loss, shape, config, parameters);
  const auto zero = objective(s, loss, shape, config, std::vector<float>(parameters.size()));
  double worst = 0, scale = 0;
  for (std::size_t j = 0; j < parameters.size(); ++j) {
    const bool regularized = j < parameters.size() - static_cast<std::size_t>(shape.outputs);
    const double l1 = regularized ? config.l1 : 0, g = at.gradient[j];
    worst = std::max(worst, parameters[j] != 0 ? std::abs(g + (parameters[j] > 0 ? l1 : -l1))
                                               : std::max(std::abs(g) - l1, 0.0));
    scale = std::max(scale, std::abs(zero.gradient[j]));
  }
  return worst / scale;
}

TEST(LinearSolver, FullBatchReachesTheMinimum) {
  const Context ctx = Context::cpu(2);
  for (const Case& c : {Case{"lbfgs", "logistic", 2, 0},
                        Case{"newton_cg", "logistic", 2, 0},
                        Case{"auto", "auto", 2, 0},
                        Case{"lbfgs", "softmax", 4, 0},
                        Case{"newton_cg", "softmax", 4, 0},
                        Case{"newton_cg", "logistic", 3, 0},
                        Case{"lbfgs", "squared", 0, 0},
                        Case{"newton_cg", "squared", 0, 0},
                        Case{"newton_cg", "squared_hinge", 2, 0},
                        Case{"lbfgs", "huber", 0, 0},
                        Case{"newton_cg", "huber", 0, 0},
                        Case{"newton_cg", "poisson", 0, 0},
                        Case{"lbfgs", "poisson", 0, 0},
                        Case{"owlqn", "logistic", 2, 3e-3},
                        Case{"owlqn", "squared", 0, 1e-2},
                        Case{"owlqn", "softmax", 3, 3e-3},
                        Case{"coordinate_descent", "logistic", 2, 3e-3},
                        Case{"coordinate_descent", "logistic", 3, 3e-3},
                        Case{"coordinate_descent", "logistic", 2, 0},
                        Case{"coordinate_descent", "squared", 0, 1e-2},
                        Case{"coordinate_descent", "squared_hinge", 2, 3e-3}}) {
    SCOPED_TRACE(std::string(c.optimizer) + " " + c.loss);
    const Samples samples =
        linear_problem(700, 40, c.classes, 5, true, std::string(c.loss) == "poisson");
    const LinearConfig config = config_of(c);
    const Trained t = train(ctx, config, c.classes, samples, 500);
    EXPECT_FALSE(t.solver->why_stopped().empty());
    // The solver's tolerance, and rounding of parameters and gradient to single precision.
    EXPECT_LT(violation(samples, config, c.classes, t.parameters), c.l1 > 0 ? 1e-3 : 1e-4)
        << t.solver->why_stopped();
    const auto at = objective(samples, linear_loss(config, c.classes),
                              linear_shape(config, 40, c.classes), config, t.parameters);
    EXPECT_NEAR(t.solver->loss(), at.value, 1e-6 * at.value);
    EXPECT_FALSE(t.solver->run_epoch(501));  // converged: nothing moves
    EXPECT_EQ(parameters_of(ctx, *t.solver), t.parameters);
  }
}

TEST(LinearSolver, CoordinateDescentClosesTheDualityGap) {
  const Context ctx = Context::cpu(2);
  for (const int classes : {2, 3}) {
    const Samples samples = linear_problem(600, 40, classes, 5, true);
    LinearConfig config = config_of({"coordinate_descent", "squared_hinge", classes, 0});
    config.intercept = false;
    config.tolerance = 1e-6;
    const Trained dual = train(ctx, config, classes, samples, 5000);
    EXPECT_EQ(dual.solver->why_stopped().substr(0, 11), "duality gap");
    const LinearShape shape = linear_shape(config, 40, classes);
    const Loss loss = linear_loss(config, classes);
    const double value = objective(samples, loss, shape, config, dual.parameters).value;
    EXPECT_NEAR(dual.solver->loss(), value, 1e-6 * value);
    config.optimizer = "newton_cg";
    const Trained primal = train(ctx, config, classes, samples, 500);
    EXPECT_NEAR(value, objective(samples, loss, shape, config, primal.parameters).value,
                2e-6 * static_cast<double>(shape.outputs));
    // Hinge: no other solver to compare with, but the gap is a proof.
    config.optimizer = "coordinate_descent";
    config.loss = "hinge";
    const Trained hinge = train(ctx, config, classes, samples, 5000);
    EXPECT_EQ(hinge.solver->why_stopped().substr(0, 11), "duality gap");
    EXPECT_NEAR(
        hinge.solver->loss(),
        objective(samples, linear_loss(config, classes), shape, config, hinge.parameters).value,
        1e-6);
  }
}

TEST(LinearSolver, CoordinateDescentWithL1AgreesWithOwlqn) {
  const Context ctx = Context::cpu(2);
  const Samples samples = linear_problem(900, 300, 2, 11, true);
  for (const bool intercept : {true, false}) {
    LinearConfig config = config_of({"owlqn", "logistic", 2, 4e-3});
    config.l2 = 0;
    config.intercept = intercept;
    config.tolerance = 1e-6;
    const LinearShape shape = linear_shape(config, 300, 2);
    const auto value = [&](const Trained& t) {
      return objective(samples, linear_loss(config, 2), shape, config, t.parameters).value;
    };
    const double best = value(train(ctx, config, 2, samples, 3000));
    config.optimizer = "auto";
    const Trained t = train(ctx, config, 2, samples, 500);
    EXPECT_EQ(t.solver->describe(), "logistic regression, coordinate descent");
    EXPECT_EQ(t.solver->why_stopped().substr(0, 13), "gradient norm");
    EXPECT_NEAR(value(t), best, 1e-6 * best);
    const auto zeros = std::count(t.parameters.begin(), t.parameters.end(), 0.0f);
    EXPECT_GT(zeros, 100);
    EXPECT_LT(zeros, 300);
    EXPECT_EQ(t.parameters[300] != 0, intercept);
  }
}

TEST(LinearSolver, MiniBatchesComeNearTheMinimum) {
  const Context ctx = Context::cpu(1);
  const Samples samples = linear_problem(3000, 40, 2, 5);
  const LinearConfig exact = config_of({"newton_cg", "logistic", 2, 0});
  const LinearShape shape = linear_shape(exact, 40, 2);
  const double best = objective(samples, {LossKind::logistic, 0}, shape, exact,
                                train(ctx, exact, 2, samples, 100).parameters)
                          .value;
  for (const char* optimizer : {"sgd", "adagrad", "adam", "adamw", "ftrl"}) {
    for (const bool average : {false, true}) {
      LinearConfig config = config_of({optimizer, "logistic", 2, 0});
      config.average = average;
      if (std::string(optimizer) == "ftrl") config.learning_rate = 0.5;
      if (std::string(optimizer).substr(0, 4) == "adam") config.learning_rate = 0.01;
      const Trained t = train(ctx, config, 2, samples, 40);
      const double value =
          objective(samples, {LossKind::logistic, 0}, shape, exact, t.parameters).value;
      // AdamW's decay is by the learning rate alone: not the penalty of this objective.
      EXPECT_LT(value, best * (std::string(optimizer) == "adamw" ? 1.06 : 1.03)) << optimizer;
      EXPECT_GE(value, best * (1 - 1e-6)) << optimizer;
    }
  }
}

TEST(LinearSolver, L1MakesZerosInMiniBatches) {
  const Context ctx = Context::cpu(1);
  const Samples samples = linear_problem(2000, 200, 2, 6);
  for (const char* optimizer : {"sgd", "adagrad", "ftrl"}) {
    LinearConfig config = config_of({optimizer, "logistic", 2, 2e-2});
    const auto zeros = [&](double l1) {
      config.l1 = l1;
      const auto p = train(ctx, config, 2, samples, 10).parameters;
      return std::count(p.begin(), p.end(), 0.0f);
    };
    EXPECT_GT(zeros(2e-2), zeros(0) + 50) << optimizer;
  }
}

/// Training goes on from a saved state as if it had not stopped, bit for bit.
TEST(LinearSolver, StateIsAllThatDecides) {
  const Context ctx = Context::cpu(2);
  const auto comm = make_self_communicator();
  for (const Case& c :
       {Case{"lbfgs", "logistic", 2, 0}, Case{"owlqn", "softmax", 3, 1e-3},
        Case{"newton_cg", "logistic", 2, 0}, Case{"sgd", "logistic", 2, 0},
        Case{"adagrad", "softmax", 3, 1e-4}, Case{"adam", "squared", 0, 0},
        Case{"ftrl", "logistic", 2, 1e-3}, Case{"coordinate_descent", "hinge", 2, 0},
        Case{"coordinate_descent", "logistic", 3, 1e-3}}) {
    SCOPED_TRACE(c.optimizer);
    const Samples samples = linear_problem(500, 30, c.classes, 8);
    LinearConfig config = config_of(c);
    config.momentum = std::string(c.optimizer) == "sgd" ? 0.5 : 0;
    config.intercept = std::string(c.loss) != "hinge";
    const LinearShape shape = linear_shape(config, 30, c.classes);
    const auto make = [&] {
      return make_linear_solver(ctx, ctx, *comm, config, 3, shape, samples);
    };
    const auto whole = make(), first = make(), second = make();
    for (int epoch = 0; epoch < 5; ++epoch) whole->run_epoch(epoch);
    for (int epoch = 0; epoch < 2; ++epoch) first->run_epoch(epoch);
    const auto from = first->state(), to = second->state();
    ASSERT_EQ(from.size(), to.size());
    for (std::size_t t = 0; t < from.size(); ++t) {
      ASSERT_EQ(from[t].name, to[t].name);
      for (std::int64_t r = 0; r < from[t].rows; ++r) {
        const std::int64_t at = r * from[t].stride * element_size(from[t].type);
        std::memcpy(static_cast<char*>(to[t].data) + at, static_cast<char*>(from[t].data) + at,
                    static_cast<std::size_t>(from[t].cols * element_size(from[t].type)));
      }
    }
    second->restored();
    EXPECT_EQ(parameters_of(ctx, *second), parameters_of(ctx, *first));
    for (int epoch = 2; epoch < 5; ++epoch) second->run_epoch(epoch);
    EXPECT_EQ(parameters_of(ctx, *second), parameters_of(ctx, *whole));
    EXPECT_EQ(second->loss(), whole->loss());
  }
}

TEST(LinearSolver, WarmStartGoesOnFromTheParameters) {
  const Context ctx = Context::cpu(1);
  for (const char* optimizer : {"lbfgs", "newton_cg", "coordinate_descent", "sgd", "ftrl"}) {
    const Samples samples = linear_problem(500, 30, 2, 8);
    LinearConfig config = config_of({optimizer, "logistic", 2, 0});
    // Its rates begin anew, so larger ones would first lead away from the minimum.
    if (std::string(optimizer) == "ftrl") config.learning_rate = 0.1;
    const Trained done = train(ctx, config, 2, samples, 60);
    Trained next = train(ctx, config, 2, samples, 0);
    const LinearParameters p = next.solver->parameters();
    std::copy_n(done.parameters.begin(), 30, p.coefficients.data);
    p.intercepts[0] = done.parameters[30];
    next.solver->warm_started();
    next.solver->run_epoch(0);
    EXPECT_LT(next.solver->loss(), done.solver->loss() * 1.02) << optimizer;
  }
}

TEST(LinearSolver, MiniBatchesTellHowFarTheyAre) {
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  const Samples samples = linear_problem(2000, 30, 2, 4);
  for (const char* optimizer : {"sgd", "adagrad"}) {
    LinearConfig config;
    config.optimizer = optimizer;
    config.global_batch = 4;
    config = with_defaults(config);
    const auto solver = make_linear_solver(ctx, ctx, *comm, config, 3,
                                           linear_shape(config, samples.num_features, 2), samples);
    std::vector<double> told;
    solver->observe([&](double fraction) { told.push_back(fraction); });
    solver->run_epoch(0);
    ASSERT_GE(told.size(), 50u);
    EXPECT_LE(told.size(), 200u);
    EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    EXPECT_GT(told.front(), 0);
    EXPECT_LT(told.back(), 1);
  }
}

TEST(LinearSolver, BitsDoNotDependOnTheNumberOfThreads) {
  const Context one = Context::cpu(1), three = Context::cpu(3);
  for (const Case& c : {Case{"lbfgs", "softmax", 3, 0}, Case{"newton_cg", "logistic", 2, 0},
                        Case{"owlqn", "logistic", 2, 1e-3}, Case{"adagrad", "logistic", 2, 0},
                        Case{"coordinate_descent", "logistic", 2, 1e-3}}) {
    const Samples samples = linear_problem(5000, 300, c.classes, 9);
    LinearConfig config = config_of(c);
    config.global_batch = 2048;
    EXPECT_EQ(train(one, config, c.classes, samples, 4).parameters,
              train(three, config, c.classes, samples, 4).parameters)
        << c.optimizer;
  }
}

TEST(LinearSolver, RefusesWhatDoesNotFit) {
  const Context ctx = Context::cpu(1);
  const Samples samples = linear_problem(20, 5, 2, 8);
  const auto refused = [&](const Case& c, int classes) {
    return error_of([&] { train(ctx, config_of(c), classes, samples, 1); });
  };
  EXPECT_EQ(refused({"lbfgs", "hinge", 2, 0}, 2).kind(), ErrorKind::usage);
  EXPECT_EQ(refused({"newton_cg", "logistic", 2, 1e-3}, 2).kind(), ErrorKind::usage);
  EXPECT_EQ(refused({"lbfgs", "logistic", 0, 0}, 0).kind(), ErrorKind::usage);
  EXPECT_EQ(refused({"coordinate_descent", "poisson", 0, 0}, 0).kind(), ErrorKind::usage);
  EXPECT_EQ(refused({"coordinate_descent", "hinge", 2, 0}, 2).kind(),
            ErrorKind::usage);  // intercept
  Samples none;
  none.num_features = 5;
  EXPECT_EQ(error_of([&] {
              train(ctx, config_of({"sgd", "squared", 0, 0}), 0, none, 1);
            }).kind(),
            ErrorKind::data);
  EXPECT_EQ(error_of([&] {
              train(ctx, config_of({"lbfgs", "squared", 0, 0}), 0, none, 1);
            }).kind(),
            ErrorKind::data);
}

TEST(ClassWeights, BalanceOrFollowNames) {
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  Samples s;
  s.offsets = {0, 0, 0, 0};
  s.labels = {0, 1, 1};
  const std::vector<std::string> names{"a=b", "c"};
  Samples balanced = s, named = s;
  apply_class_weights(ctx, *comm, "balanced", names, balanced);
  EXPECT_EQ(balanced.weights, (std::vector<float>{1.5f, 0.75f, 0.75f}));
  apply_class_weights(ctx, *comm, "a=b=2.5", names, named);
  EXPECT_EQ(named.weights, (std::vector<float>{2.5f, 1, 1}));
  for (const char* wrong : {"d=1", "c=-1", "c=x", "c", "c="})
    EXPECT_EQ(error_of([&] { apply_class_weights(ctx, *comm, wrong, names, s); }).kind(),
              ErrorKind::usage)
        << wrong;
}

}  // namespace
}  // namespace gradmill
