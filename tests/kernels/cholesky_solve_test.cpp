#include "kernels/cholesky_solve/cholesky_solve.h"

#include <gtest/gtest.h>

#include "runtime/context.h"
#include "tests/support/als_problem.h"

namespace gradmill {
namespace {
using testing::random_values;

/// Lower triangles of positive definite systems, NaN above: the upper triangles hold anything.
struct Systems {
  std::int64_t rows, k;
  std::vector<float> a, b;
};

Systems random_systems(std::int64_t rows, std::int64_t k, unsigned seed) {
  Systems s{rows, k, {}, random_values(std::max<std::int64_t>(1, rows * k), seed)};
  const std::int64_t n = k + 3;
  for (std::int64_t u = 0; u < rows; ++u) {
    const auto y = random_values(n * k, seed + 1 + static_cast<unsigned>(u % 7));
    const auto g = testing::reference_gram({y.data(), n, k, k, {}}, 1.0 / static_cast<double>(n));
    for (std::int64_t r = 0; r < k; ++r)
      for (std::int64_t c = 0; c < k; ++c)
        s.a.push_back(c > r ? std::nanf("")
                            : static_cast<float>(g[static_cast<std::size_t>(r * k + c)]) +
                                  (r == c ? 0.5f : 0.0f));
  }
  return s;
}

struct Result {
  std::vector<float> x;
  std::int32_t failures = 0;
  bool operator==(const Result&) const = default;
};

Result run(const Context& ctx, Systems s, std::int32_t failures_before = 0) {
  const std::int64_t stride = s.k + 1;
  Result out{std::vector<float>(static_cast<std::size_t>(s.rows * stride), 5.0f), failures_before};
  cholesky_solve(ctx, {{s.a.data(), s.rows, s.k * s.k, s.k * s.k, {}},
                       {s.b.data(), s.rows, s.k, s.k, {}},
                       {out.x.data(), s.rows, s.k, stride, {}},
                       {&out.failures, 1, {}}});
  return out;
}

void expect_reference(std::int64_t rows, std::int64_t k) {
  const Systems s = random_systems(rows, k, 31);
  const Result out = run(Context::cpu(2), s);
  EXPECT_EQ(out.failures, 0);
  for (std::int64_t u = 0; u < rows; ++u) {
    testing::ReferenceSystem system{k,
                                    std::vector<double>(static_cast<std::size_t>(k * k)),
                                    {s.b.begin() + u * k, s.b.begin() + (u + 1) * k}};
    for (std::int64_t r = 0; r < k; ++r)
      for (std::int64_t c = 0; c <= r; ++c)
        system.at(r, c) = system.at(c, r) = s.a[static_cast<std::size_t>(u * k * k + r * k + c)];
    const auto want = testing::reference_solve(system);
    ASSERT_FALSE(want.empty());
    const float* x = out.x.data() + u * (k + 1);
    for (std::int64_t c = 0; c < k; ++c)
      ASSERT_NEAR(x[c], want[static_cast<std::size_t>(c)], 2e-4) << "row " << u << ", k " << k;
    ASSERT_EQ(x[k], 5.0f) << "padding";
  }
}

TEST(CholeskySolve, AgreesWithTheReferenceForEveryNumberOfFactors) {
  for (const std::int64_t k : testing::kFactorCounts) expect_reference(k > 64 ? 2 : 9, k);
}

TEST(CholeskySolve, AgreesWithTheReferenceForEveryNumberOfRows) {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000}) expect_reference(rows, 5);
}

TEST(CholeskySolve, SolutionsMayBeTheRightHandSides) {
  Systems s = random_systems(20, 33, 32);
  const Result want = run(Context::cpu(1), s);
  std::int32_t failures = 0;
  const MatrixView<float> b{s.b.data(), 20, 33, 33, {}};
  cholesky_solve(Context::cpu(1),
                 {{s.a.data(), 20, 33 * 33, 33 * 33, {}}, b, b, {&failures, 1, {}}});
  for (std::int64_t u = 0; u < 20; ++u)
    for (std::int64_t c = 0; c < 33; ++c)
      ASSERT_EQ(b(u, c), want.x[static_cast<std::size_t>(u * 34 + c)]);
}

TEST(CholeskySolve, CountsFailuresGivesZeroAndSolvesTheOthers) {
  for (const std::int64_t k : {1, 17, 33, 128}) {
    Systems s = random_systems(6, k, 33);
    const Result sound = run(Context::cpu(1), s);
    const auto bad = [&](std::int64_t u, float value) {  // the last pivot
      s.a[static_cast<std::size_t>((u + 1) * k * k - 1)] = value;
    };
    bad(1, -1.0f);
    bad(3, std::nanf(""));
    const Result out = run(Context::cpu(2), s, 10);
    EXPECT_EQ(out.failures, 12);
    for (std::int64_t u = 0; u < 6; ++u)
      for (std::int64_t c = 0; c < k; ++c) {
        const auto i = static_cast<std::size_t>(u * (k + 1) + c);
        ASSERT_EQ(out.x[i], u == 1 || u == 3 ? 0.0f : sound.x[i]) << "row " << u << ", k " << k;
      }
  }
}

TEST(CholeskySolve, BitsDoNotDependOnTheNumberOfThreads) {
  const Systems s = random_systems(100, 40, 34);
  const Result want = run(Context::cpu(1), s);
  EXPECT_EQ(run(Context::cpu(2), s), want);
  EXPECT_EQ(run(Context::cpu(3), s), want);
}

}  // namespace
}  // namespace gradmill
