#include "kernels/gram/gram.h"

#include <gtest/gtest.h>

#include "runtime/buffer.h"
#include "tests/support/als_reference.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::random_values;
using testing::reference_gram;

std::vector<float> run(const Context& ctx, MatrixView<const float> factors, float scale) {
  const std::int64_t k = factors.cols;
  std::vector<float> result(static_cast<std::size_t>(k * k), -7.0f);
  gram(ctx, {factors, scale, {result.data(), k, k, k, {}}});
  return result;
}

TEST(Gram, AgreesWithTheReferenceForEverySize) {
  const Context ctx = Context::cpu(2);
  for (const std::int64_t k : {1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 128, 255, 256, 257}) {
    for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000}) {
      if (rows > 257 && k > 33) continue;
      const std::int64_t stride = k + rows % 5;
      const auto values = random_values(std::max<std::int64_t>(rows * stride, 1), 3);
      const MatrixView<const float> factors{values.data(), rows, k, stride, {}};
      const auto want = reference_gram(factors, 0.25);
      const auto got = run(ctx, factors, 0.25f);
      // A sum of n products of standard normal values: rounding grows like sqrt(n).
      const double tolerance = 1e-5 * std::sqrt(static_cast<double>(rows) + 1);
      for (std::size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], tolerance + 1e-5 * std::abs(want[i]))
            << "k " << k << ", rows " << rows << ", element " << i;
    }
  }
}

TEST(Gram, IsExactlySymmetric) {
  const Context ctx = Context::cpu(1);
  const auto values = random_values(300 * 33, 5);
  const auto g = run(ctx, {values.data(), 300, 33, 33, {}}, 1.5f);
  for (std::size_t r = 0; r < 33; ++r)
    for (std::size_t c = 0; c < r; ++c) ASSERT_EQ(g[r * 33 + c], g[c * 33 + r]);
}

TEST(Gram, BitsDoNotDependOnTheNumberOfThreads) {
  const auto values = random_values(10'000 * 48, 6);
  const MatrixView<const float> factors{values.data(), 10'000, 48, 48, {}};
  const Context one = Context::cpu(1), two = Context::cpu(2), three = Context::cpu(3);
  const auto want = run(one, factors, 1);
  EXPECT_EQ(run(two, factors, 1), want);
  EXPECT_EQ(run(three, factors, 1), want);
}

}  // namespace
}  // namespace gradmill
