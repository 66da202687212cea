#include "kernels/batch_norm/batch_norm.h"

#include <gtest/gtest.h>

#include "tests/support/batch_norm_problem.h"

namespace gradmill {
namespace {
using testing::BatchNormProblem;

TEST(BatchNormTest, ForwardAgainstDoublePrecision) {
  for (const std::int64_t rows : {1, 31, 33, 257, 1000})
    for (const std::int64_t units : {1, 7, 33}) {
      BatchNormProblem p(rows, units), three(rows, units);
      const BatchNormProblem before(rows, units);
      const Context one = Context::cpu(1), more = Context::cpu(3);
      batch_norm_sums(one, p.sums_args());
      batch_norm_sums(more, three.sums_args());
      EXPECT_EQ(p.sums, three.sums);
      batch_norm(one, p.forward_args(true));
      batch_norm_track(one, p.track_args());
      for (std::int64_t h = 0; h < units; ++h) {
        double mean = 0, variance = 0;
        const double n = static_cast<double>(rows);
        for (std::int64_t b = 0; b < rows; ++b) mean += before.at(before.x, b, h) / n;
        for (std::int64_t b = 0; b < rows; ++b)
          variance += std::pow(before.at(before.x, b, h) - mean, 2) / n;
        for (std::int64_t b = 0; b < rows; ++b) {
          const double normal =
              (before.at(before.x, b, h) - mean) / std::sqrt(variance + double{1e-5f});
          const double y = p.value(p.scale, h) * normal + p.value(p.shift, h);
          ASSERT_NEAR(p.at(p.x, b, h), normal, 3e-5);
          ASSERT_NEAR(p.at(p.kept, b, h), y, 5e-5);
          ASSERT_NEAR(p.at(p.out, b, h), std::tanh(y), 5e-5);
        }
        ASSERT_NEAR(p.value(p.mean, h), 0.9 * before.value(before.mean, h) + 0.1 * mean, 1e-6);
        const double unbiased = rows > 1 ? variance * n / (n - 1) : 0;
        ASSERT_NEAR(p.value(p.variance, h), 0.9 * before.value(before.variance, h) + 0.1 * unbiased,
                    1e-5);
      }
      // Predictions: with what was tracked.
      BatchNormProblem given(rows, units);
      batch_norm(one, given.forward_args(false));
      const double normal = (before.at(before.x, 0, 0) - before.value(before.mean, 0)) /
                            std::sqrt(before.value(before.variance, 0) + double{1e-5f});
      ASSERT_NEAR(given.at(given.x, 0, 0), normal, 3e-5);
      given.state[StepState::applies] = 0;
      const std::vector<float> tracked = given.mean;
      batch_norm_track(one, given.track_args());
      EXPECT_EQ(given.mean, tracked);
    }
}

TEST(BatchNormTest, GradientIsThatOfTheNormalizedSum) {
  // By central differences of sum_b out_slopes y, in double.
  const std::int64_t rows = 9, units = 3;
  BatchNormProblem p(rows, units);
  const BatchNormProblem before(rows, units);
  const Context ctx = Context::cpu(1);
  batch_norm_sums(ctx, p.sums_args());
  batch_norm(ctx, p.forward_args(true));
  batch_norm_gradient_sums(ctx, p.gradient_sums_args());
  batch_norm_gradient(ctx, p.gradient_args());
  const auto objective = [&](std::int64_t row, std::int64_t h, double by) {
    double mean = 0, variance = 0, sum = 0;
    const auto x = [&](std::int64_t b) { return before.at(before.x, b, h) + (b == row ? by : 0); };
    for (std::int64_t b = 0; b < rows; ++b) mean += x(b) / rows;
    for (std::int64_t b = 0; b < rows; ++b) variance += std::pow(x(b) - mean, 2) / rows;
    for (std::int64_t b = 0; b < rows; ++b)
      sum += before.at(before.gradient, b, h) * before.value(before.scale, h) * (x(b) - mean) /
             std::sqrt(variance + double{1e-5f});
    return sum;
  };
  for (std::int64_t h = 0; h < units; ++h) {
    double scale = 0, shift = 0;
    for (std::int64_t b = 0; b < rows; ++b) {
      const double slope = (objective(b, h, 1e-5) - objective(b, h, -1e-5)) / 2e-5;
      ASSERT_NEAR(p.at(p.gradient, b, h), slope, 2e-5);
      scale += before.at(before.gradient, b, h) * p.at(p.x, b, h);
      shift += before.at(before.gradient, b, h);
    }
    ASSERT_NEAR(p.value(p.scale_gradient, h), scale, 1e-5);
    ASSERT_NEAR(p.value(p.shift_gradient, h), shift, 1e-5);
  }
}
}  // namespace
}  // namespace gradmill
