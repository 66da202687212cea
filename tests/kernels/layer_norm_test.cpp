#include "tests/support/layer_norm_problem.h"

#include <gtest/gtest.h>

#include <cmath>

namespace gradmill {
namespace {
using testing::LayerNormProblem;
using testing::PaddedMatrix;

std::vector<double> row_of(const PaddedMatrix& x, std::int64_t r) {
  std::vector<double> row;
  for (std::int64_t h = 0; h < x.cols; ++h) row.push_back(x.at(r, h));
  return row;
}

std::vector<double> normalized(std::vector<double> x) {
  const auto units = static_cast<double>(x.size());
  double mean = 0, variance = 0;
  for (const double v : x) mean += v / units;
  for (const double v : x) variance += (v - mean) * (v - mean) / units;
  for (double& v : x) v = (v - mean) / std::sqrt(variance + static_cast<double>(1e-5f));
  return x;
}

constexpr std::int64_t kRows[] = {0, 1, 31, 64, 65, 257};
constexpr std::int64_t kUnits[] = {1, 7, 31, 32, 33, 257};

TEST(LayerNormTest, NormalizesScalesAndActivates) {
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu})
    for (const std::int64_t rows : kRows)
      for (const std::int64_t units : kUnits) {
        LayerNormProblem p(rows, units);
        const LayerNormProblem before(rows, units);
        layer_norm(Context::cpu(2), p.args(activation));
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto n = normalized(row_of(before.x, r));
          for (std::int64_t h = 0; h < units; ++h) {
            const double y = p.scale.at(0, h) * n[static_cast<std::size_t>(h)] + p.shift.at(0, h);
            ASSERT_NEAR(p.x.at(r, h), n[static_cast<std::size_t>(h)], 1e-5);
            ASSERT_NEAR(p.kept.at(r, h), y, 2e-5);
            ASSERT_NEAR(p.out.at(r, h),
                        static_cast<double>(activate(activation, static_cast<float>(y))), 2e-5);
          }
          for (std::int64_t h = units; h < p.x.stride; ++h) {
            ASSERT_EQ(p.x.at(r, h), before.x.at(r, h));
            ASSERT_EQ(p.out.at(r, h), before.out.at(r, h));
          }
        }
      }
}

/// dL/dx = sum over h of gradient[h] dy[h]/dx, by central differences in double.
TEST(LayerNormTest, GradientsAgreeWithFiniteDifferences) {
  for (const std::int64_t rows : {1, 65, 200})
    for (const std::int64_t units : {2, 7, 33})
      for (const bool accumulate : {false, true}) {
        LayerNormProblem p(rows, units);
        const LayerNormProblem before(rows, units);
        layer_norm(Context::cpu(2), p.args(Activation::identity, false));
        layer_norm_gradient(Context::cpu(2), p.gradient_args(accumulate));
        std::vector<double> scales(static_cast<std::size_t>(units)), shifts(scales);
        for (std::int64_t h = 0; h < units && accumulate; ++h) {
          scales[static_cast<std::size_t>(h)] = before.scale_gradient.at(0, h);
          shifts[static_cast<std::size_t>(h)] = before.shift_gradient.at(0, h);
        }
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto n = normalized(row_of(before.x, r));
          for (std::int64_t h = 0; h < units; ++h) {
            scales[static_cast<std::size_t>(h)] +=
                before.gradient.at(r, h) * n[static_cast<std::size_t>(h)];
            shifts[static_cast<std::size_t>(h)] += before.gradient.at(r, h);
          }
          if (r % 13) continue;
          const auto loss = [&](const std::vector<double>& x) {
            const auto moved = normalized(x);
            double sum = 0;
            for (std::int64_t h = 0; h < units; ++h)
              sum +=
                  before.gradient.at(r, h) * p.scale.at(0, h) * moved[static_cast<std::size_t>(h)];
            return sum;
          };
          for (std::int64_t h = 0; h < units; h += 3) {
            const double step = 1e-5;
            auto above = row_of(before.x, r), below = above;
            above[static_cast<std::size_t>(h)] += step;
            below[static_cast<std::size_t>(h)] -= step;
            const double slope = (loss(above) - loss(below)) / (2 * step);
            ASSERT_NEAR(p.gradient.at(r, h), slope,
                        2e-5 * (1 + p.inverse[static_cast<std::size_t>(r)]))
                << r << ", " << h;
          }
        }
        for (std::int64_t h = 0; h < units; ++h) {
          ASSERT_NEAR(p.scale_gradient.at(0, h), scales[static_cast<std::size_t>(h)], 1e-4);
          ASSERT_NEAR(p.shift_gradient.at(0, h), shifts[static_cast<std::size_t>(h)], 1e-4);
        }
      }
}

TEST(LayerNormTest, BitsDoNotDependOnThreads) {
  LayerNormProblem one(300, 50), three(300, 50);
  for (auto [p, threads] : {std::pair{&one, 1}, {&three, 3}}) {
    const Context ctx = Context::cpu(threads);
    layer_norm(ctx, p->args(Activation::tanh));
    layer_norm_gradient(ctx, p->gradient_args(false));
  }
  EXPECT_EQ(one.out.values, three.out.values);
  EXPECT_EQ(one.gradient.values, three.gradient.values);
  EXPECT_EQ(one.scale_gradient.values, three.scale_gradient.values);
}

TEST(LayerNormTest, ShapesThatDisagreeAreRefused) {
  LayerNormProblem p(4, 8);
  LayerNormArgs args = p.args(Activation::relu);
  args.inverse.size = 3;
  EXPECT_ANY_THROW(layer_norm(Context::cpu(1), args));
  LayerNormGradientArgs gradient = p.gradient_args(false);
  gradient.scale.size = 7;
  EXPECT_ANY_THROW(layer_norm_gradient(Context::cpu(1), gradient));
}
}  // namespace
}  // namespace gradmill
