#include "kernels/pair_dots/pair_dots.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gradmill {
namespace {
std::vector<float> numbers(std::int64_t count, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(normal(rng));
  return values;
}

TEST(PairDotsTest, PairsAndTheirGradientAgainstDoublePrecision) {
  for (const std::int64_t rows : {0, 1, 33, 257})
    for (const std::int64_t n : {1, 2, 5, 27})
      for (const std::int64_t dim : {1, 4, 17}) {
        const std::int64_t pairs = num_pairs(n), stride = n * dim + 3;
        std::vector<float> x = numbers(rows * stride, 1), slopes = numbers(rows * pairs, 2),
                           gradient = numbers(rows * stride, 3);
        const std::vector<float> before = gradient;
        std::vector<float> out(static_cast<std::size_t>(rows * pairs));
        const MatrixView<const float> vectors{x.data(), rows, n * dim, stride, {}};
        pair_dots(Context::cpu(2), {dim, vectors, {out.data(), rows, pairs, pairs, {}}});
        pair_dots_gradient(Context::cpu(2), {dim,
                                             vectors,
                                             {slopes.data(), rows, pairs, pairs, {}},
                                             {gradient.data(), rows, n * dim, stride, {}}});
        for (std::int64_t b = 0; b < rows; b += 16)
          for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t k = 0; k < dim; ++k) {
              const auto place = [&](std::int64_t v) {
                return static_cast<std::size_t>(b * stride + v * dim + k);
              };
              double sum = before[place(i)];
              for (std::int64_t j = 0; j < n; ++j) {
                if (i == j) continue;
                const std::int64_t low = std::min(i, j), high = std::max(i, j);
                const auto p = static_cast<std::size_t>(b * pairs + high * (high - 1) / 2 + low);
                sum += double{slopes[p]} * x[place(j)];
                if (k > 0) continue;
                double dot = 0;
                for (std::int64_t q = 0; q < dim; ++q)
                  dot += double{x[static_cast<std::size_t>(b * stride + i * dim + q)]} *
                         x[static_cast<std::size_t>(b * stride + j * dim + q)];
                ASSERT_NEAR(out[p], dot, 1e-5 * (1 + std::abs(dot)));
              }
              ASSERT_NEAR(gradient[place(i)], sum, 1e-5 * (1 + std::abs(sum)));
            }
      }
}

TEST(PairDotsTest, ShapesAreChecked) {
  std::vector<float> x(20), out(10);
  EXPECT_ANY_THROW(
      pair_dots(Context::cpu(1), {3, {x.data(), 2, 10, 10, {}}, {out.data(), 2, 3, 3, {}}}));
  EXPECT_ANY_THROW(
      pair_dots(Context::cpu(1), {5, {x.data(), 2, 10, 10, {}}, {out.data(), 2, 2, 2, {}}}));
}
}  // namespace
}  // namespace gradmill
