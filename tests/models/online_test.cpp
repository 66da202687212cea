#include "models/linear/online.h"

#include <gtest/gtest.h>

#include <numeric>

#include "models/linear/mini_batch.h"
#include "models/linear/row_order.h"
#include "tests/support/linear_problem.h"

namespace gradmill {
namespace {
using testing::linear_problem;

struct Solvers {
  Context ctx = Context::cpu(2);
  std::unique_ptr<Communicator> comm = make_self_communicator();
  LinearConfig config;
  Loss loss;
  LinearShape shape;

  Solvers(const char* optimizer, const char* kind, double l1, double l2) {
    config.optimizer = optimizer;
    config.loss = kind;
    config.l1 = l1;
    config.l2 = l2;
    config.global_batch = 48;
    config = with_defaults(config);
    config.learning_rate = 0.3;
    config.ftrl_beta = 0.5;
    loss = linear_loss(config, 2);
  }
  std::unique_ptr<LinearSolver> online(const Samples& samples) {
    shape = linear_shape(config, samples.num_features, 2);
    EXPECT_TRUE(OnlineSolver::can(ctx, *comm, config, shape, samples));
    return std::make_unique<OnlineSolver>(ctx, *comm, config, 3, shape, loss, samples, "");
  }
  std::unique_ptr<LinearSolver> mini_batch(Samples samples) {
    shape = linear_shape(config, samples.num_features, 2);
    auto order = order_columns_by_frequency(ctx, *comm, samples);
    return std::make_unique<MiniBatchSolver>(ctx, ctx, *comm, config, 3, shape, loss,
                                             std::move(samples), std::move(order), "");
  }
};

void expect_same(LinearSolver& a, LinearSolver& b, float tolerance) {
  const LinearParameters p = a.parameters(), q = b.parameters();
  for (std::int64_t j = 0; j < p.coefficients.cols; ++j)
    ASSERT_NEAR(p.coefficients.data[j], q.coefficients.data[j], tolerance) << j;
  EXPECT_NEAR(p.intercepts[0], q.intercepts[0], tolerance);
  EXPECT_NEAR(a.loss(), b.loss(), 1e-5 * std::abs(b.loss()));
}

void copy_state(LinearSolver& from, LinearSolver& to) {
  const auto source = from.state(), target = to.state();
  ASSERT_EQ(source.size(), target.size());
  for (std::size_t t = 0; t < source.size(); ++t) {
    ASSERT_EQ(source[t].name, target[t].name);
    ASSERT_EQ(source[t].rows, target[t].rows) << source[t].name;
    ASSERT_EQ(source[t].cols, target[t].cols) << source[t].name;
    for (std::int64_t r = 0; r < source[t].rows; ++r)
      std::copy_n(source[t].values<float>().row(r), source[t].cols,
                  target[t].values<float>().row(r));
  }
  to.restored();
}

TEST(OnlineSolver, TakesTheStepsOfMiniBatches) {
  for (const char* optimizer : {"sgd", "adagrad", "ftrl"}) {
    for (const char* loss : {"logistic", "squared_hinge"}) {
      for (const auto& [l1, l2] : {std::pair{0.0, 0.0}, {2e-3, 1e-3}}) {
        for (const bool plain : {false, true}) {
          SCOPED_TRACE(::testing::Message()
                       << optimizer << ' ' << loss << ' ' << l1 << ' ' << plain);
          Samples samples = linear_problem(700, 60, 2, 4, !plain);
          if (plain) samples.values.clear();
          Solvers make(optimizer, loss, l1, l2);
          make.config.intercept = !plain;
          const auto a = make.online(samples), b = make.mini_batch(samples);
          for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
            a->run_epoch(epoch);
            b->run_epoch(epoch);
            expect_same(*a, *b, 2e-4f);
          }
        }
      }
    }
  }
}

TEST(OnlineSolver, GoesOnFromTheStateOfMiniBatchesAndBack) {
  const Samples samples = linear_problem(500, 50, 2, 5);
  for (const char* optimizer : {"sgd", "adagrad", "ftrl"}) {
    SCOPED_TRACE(optimizer);
    Solvers make(optimizer, "logistic", 1e-4, 1e-3);
    const auto online = make.online(samples), other = make.mini_batch(samples);
    const auto resumed = make.mini_batch(samples), back = make.online(samples);
    online->run_epoch(0);
    other->run_epoch(0);
    copy_state(*online, *resumed);
    copy_state(*other, *back);
    online->run_epoch(1);
    resumed->run_epoch(1);
    other->run_epoch(1);
    back->run_epoch(1);
    expect_same(*online, *resumed, 2e-4f);
    expect_same(*other, *back, 2e-4f);
  }
}

TEST(OnlineSolver, ResumesWithTheSameBits) {
  const Samples samples = linear_problem(400, 40, 2, 6);
  Solvers make("adagrad", "logistic", 0, 1e-3);
  const auto whole = make.online(samples), first = make.online(samples),
             second = make.online(samples);
  whole->run_epoch(0);
  first->run_epoch(0);
  copy_state(*first, *second);
  whole->run_epoch(1);
  second->run_epoch(1);
  expect_same(*whole, *second, 0);
}

TEST(OnlineSolver, RowsThatRepeatAColumnOrHaveNone) {
  Samples samples;
  samples.num_features = 40;
  samples.offsets = {0, 3, 3, 5};
  samples.indices = {7, 7, 39, 0, 7};
  samples.values = {1, -1, 0, 2, 3};
  samples.labels = {1, 0, 1};
  for (const char* optimizer : {"sgd", "adagrad", "ftrl"}) {
    Solvers make(optimizer, "logistic", 1e-3, 1e-3);
    const auto a = make.online(samples), b = make.mini_batch(samples);
    a->run_epoch(0);
    b->run_epoch(0);
    expect_same(*a, *b, 1e-6f);
  }
}

TEST(RowOrder, IsAPermutationInRuns) {
  const Context ctx = Context::cpu(2);
  for (const std::int64_t rows : {0, 1, 7, 8, 9, 257, 10000}) {
    for (const std::int64_t batch : {1, 64, 256}) {
      std::vector<std::int32_t> order = row_order(ctx, rows, batch, 5, 0);
      EXPECT_EQ(order, row_order(Context::cpu(1), rows, batch, 5, 0));
      if (rows == 10000) {
        EXPECT_NE(order, row_order(ctx, rows, batch, 5, 1));
        std::int64_t neighbours = 0;
        for (std::size_t r = 1; r < order.size(); ++r) neighbours += order[r] == order[r - 1] + 1;
        EXPECT_NEAR(static_cast<double>(neighbours),
                    rows * (1 - 1.0 / (batch == 256  ? 8
                                       : batch == 64 ? 2
                                                     : 1)),
                    20);
      }
      std::sort(order.begin(), order.end());
      std::vector<std::int32_t> all(static_cast<std::size_t>(rows));
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(order, all);
    }
  }
}

TEST(DataDefaults, RatesFollowTheScaleOfTheFeatures) {
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  Samples samples = linear_problem(300, 30, 2, 7);
  const auto rate = [&](const char* optimizer) {
    LinearConfig config;
    config.optimizer = optimizer;
    config.intercept = false;
    const LinearConfig with =
        with_data_defaults(ctx, *comm, config, {LossKind::logistic, 0}, samples);
    EXPECT_GT(with.learning_rate, 0) << optimizer;
    return with.learning_rate;
  };
  const double sgd = rate("sgd"), adagrad = rate("adagrad"), adam = rate("adam");
  for (float& x : samples.values) x *= 4;
  EXPECT_NEAR(rate("sgd"), sgd / 16, 1e-4 * sgd);
  EXPECT_NEAR(rate("adagrad"), adagrad / 4, 1e-4 * adagrad);
  EXPECT_NEAR(rate("adam"), adam / 4, 1e-4 * adam);
  samples.indices.clear();
  samples.values.clear();
  std::fill(samples.offsets.begin(), samples.offsets.end(), 0);
  for (const char* optimizer : {"sgd", "adagrad", "adam", "ftrl"}) rate(optimizer);
}
}  // namespace
}  // namespace gradmill
