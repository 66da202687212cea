// Coordinate descents of linear models: their minimum, and that a run may stop and go on.
#include <gtest/gtest.h>

#include <cstring>

#include "models/linear/solver.h"
#include "tests/support/error_of.h"
#include "tests/support/linear_problem.h"

namespace gradmill {
namespace {
using testing::error_of;
using testing::linear_problem;
using testing::objective;
using testing::parameters_of;

LinearConfig config_of(const char* loss, double l1, bool intercept = false) {
  LinearConfig config;
  config.optimizer = "coordinate_descent";
  config.loss = loss;
  config.intercept = intercept;
  config.l2 = l1 > 0 ? 0 : 1e-3;
  config.l1 = l1;
  config.tolerance = 1e-7;
  return with_defaults(config);
}

std::unique_ptr<LinearSolver> make(const Context& ctx, const LinearConfig& config, int classes,
                                   const Samples& samples) {
  static const std::unique_ptr<Communicator> comm = make_self_communicator();
  return make_linear_solver(ctx, ctx, *comm, config, 3,
                            linear_shape(config, samples.num_features, classes), samples);
}

double value_of(const Samples& samples, const LinearConfig& config, int classes,
                const std::vector<float>& parameters) {
  return objective(samples, linear_loss(config, classes),
                   linear_shape(config, samples.num_features, classes), config, parameters)
      .value;
}

/// The objective that another solver reaches.
double reached(const Samples& samples, LinearConfig config, int classes, const char* optimizer) {
  const Context ctx = Context::cpu(1);
  config.optimizer = optimizer;
  config.tolerance = 1e-8;
  const auto solver = make(ctx, config, classes, samples);
  for (int epoch = 0; epoch < 2000 && solver->run_epoch(epoch); ++epoch) {
  }
  return value_of(samples, config, classes, parameters_of(ctx, *solver));
}

TEST(LinearDescent, DualLogisticReachesTheMinimum) {
  const Context ctx = Context::cpu(2);
  for (const int classes : {2, 3})
    for (const bool weights : {false, true}) {
      const Samples samples = linear_problem(400, 60, classes, 5, weights);
      const LinearConfig config = config_of("logistic", 0);
      const auto solver = make(ctx, config, classes, samples);
      EXPECT_NE(solver->describe().find("dual coordinate descent"), std::string::npos);
      int epochs = 0;
      while (epochs < 1000 && solver->run_epoch(epochs)) ++epochs;
      EXPECT_LT(epochs, 1000);
      EXPECT_NE(solver->why_stopped().find("duality gap"), std::string::npos);
      const double value = value_of(samples, config, classes, parameters_of(ctx, *solver));
      const double best = reached(samples, config, classes, "newton_cg");
      EXPECT_NEAR(value, best, 1e-6 * best);
      EXPECT_NEAR(solver->loss(), value, 1e-6 * value);
      EXPECT_GE(value - best, -1e-6 * best);
    }
}

TEST(LinearDescent, DualLogisticTakesEmptyRowsAndRowsWithoutWeight) {
  const Context ctx = Context::cpu(1);
  Samples samples = linear_problem(60, 10, 2, 5, true);
  samples.weights[3] = 0;
  samples.offsets.push_back(samples.offsets.back());
  samples.labels.push_back(1);
  samples.weights.push_back(1);
  const LinearConfig config = config_of("logistic", 0);
  const auto solver = make(ctx, config, 2, samples);
  for (int epoch = 0; epoch < 1000 && solver->run_epoch(epoch); ++epoch) {
  }
  const double best = reached(samples, config, 2, "newton_cg");
  EXPECT_NEAR(solver->loss(), best, 1e-6 * best);
}

/// One-hot groups whose columns add up to the same: singular without an l2 penalty, as data of categories are.
Samples one_hot(std::int64_t rows, unsigned seed) {
  std::mt19937 rng(seed);
  Samples samples;
  const std::vector<std::int32_t> groups{2, 5, 9, 16, 30};
  std::vector<double> truth(62);
  std::normal_distribution<double> normal;
  for (double& w : truth) w = normal(rng);
  samples.num_features = 62;
  for (std::int64_t r = 0; r < rows; ++r) {
    double margin = -1;
    std::int32_t first = 0;
    for (const std::int32_t size : groups) {
      const auto skewed =
          static_cast<std::int32_t>(std::pow(static_cast<double>(rng() % 1000) / 1000, 3) * size);
      samples.indices.push_back(first + skewed);
      margin += truth[static_cast<std::size_t>(first + skewed)];
      first += size;
    }
    samples.offsets.push_back(static_cast<std::int64_t>(samples.indices.size()));
    samples.labels.push_back(margin + 2 * normal(rng) > 0 ? 1.0f : 0.0f);
  }
  return samples;
}

TEST(LinearDescent, L1ReachesTheMinimumOfIllConditionedData) {
  const Context ctx = Context::cpu(2);
  for (const char* loss : {"logistic", "squared_hinge"})
    for (const unsigned seed : {1u, 2u, 3u}) {
      const Samples samples = one_hot(2000, seed);
      LinearConfig config = config_of(loss, 5e-4);
      config.tolerance = 1e-8;
      const auto solver = make(ctx, config, 2, samples);
      for (int epoch = 0; epoch < 3000 && solver->run_epoch(epoch); ++epoch) {
      }
      const double value = value_of(samples, config, 2, parameters_of(ctx, *solver));
      const double other = reached(samples, config, 2, "owlqn");
      EXPECT_LE(value, other * (1 + 1e-6)) << loss << ", " << solver->why_stopped();
    }
}

struct Kind {
  const char* loss;
  double l1;
  int classes;
};

TEST(LinearDescent, GoesOnBitByBit) {
  const Context ctx = Context::cpu(2);
  for (const Kind& kind : {Kind{"hinge", 0, 2}, Kind{"hinge", 0, 3}, Kind{"squared_hinge", 0, 2},
                           Kind{"logistic", 0, 2}, Kind{"logistic", 0, 3},
                           Kind{"logistic", 1e-3, 2}, Kind{"squared", 1e-3, 0}}) {
    SCOPED_TRACE(std::string(kind.loss) + ", l1 " + std::to_string(kind.l1));
    const Samples samples = linear_problem(500, 80, kind.classes, 5, true);
    const LinearConfig config = config_of(kind.loss, kind.l1);
    const auto straight = make(ctx, config, kind.classes, samples),
               first = make(ctx, config, kind.classes, samples),
               second = make(ctx, config, kind.classes, samples);
    for (int epoch = 0; epoch < 12; ++epoch) straight->run_epoch(epoch);
    for (int epoch = 0; epoch < 5; ++epoch) first->run_epoch(epoch);
    const auto from = first->state(), to = second->state();
    ASSERT_EQ(from.size(), to.size());
    for (std::size_t t = 0; t < from.size(); ++t)
      std::memcpy(
          to[t].data, from[t].data,
          static_cast<std::size_t>(from[t].rows * from[t].stride * element_size(from[t].type)));
    second->restored();
    for (int epoch = 5; epoch < 12; ++epoch) second->run_epoch(epoch);
    EXPECT_EQ(parameters_of(ctx, *second), parameters_of(ctx, *straight));
    EXPECT_EQ(second->loss(), straight->loss());
  }
}

TEST(LinearDescent, DualVariablesHaveNoWarmStart) {
  const Context ctx = Context::cpu(1);
  const auto solver = make(ctx, config_of("logistic", 0), 2, linear_problem(50, 10, 2, 5));
  const Error error = error_of([&] { solver->warm_started(); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_NE(std::string(error.what()).find("newton_cg"), std::string::npos);
}

}  // namespace
}  // namespace gradmill
