#include "kernels/normal_equations/normal_equations.h"

#include <gtest/gtest.h>

#include "kernels/normal_equations/row_ranges.h"
#include "runtime/context.h"
#include "tests/support/als_problem.h"

namespace gradmill {
namespace {
using testing::als_problem;
using testing::AlsProblem;
using testing::Variant;

struct Systems {
  std::vector<float> a, b;
  bool operator==(const Systems&) const = default;
};

NormalEquationsArgs arguments(const AlsProblem& p, bool add_ridge, Systems& out) {
  const std::int64_t rows = p.ratings.rows, m = p.system_size();
  out.a.assign(static_cast<std::size_t>(rows * m * m), 0.0f);
  out.b.assign(static_cast<std::size_t>(rows * m), 0.0f);
  return {p.ratings.view(),
          p.weights_view(),
          p.factors_view(),
          p.biases_view(),
          p.base_view(),
          p.model,
          add_ridge,
          {out.a.data(), rows, m * m, m * m, {}},
          {out.b.data(), rows, m, m, {}}};
}

void expect_reference(const AlsProblem& p, bool add_ridge, const std::string& what) {
  Systems out;
  const NormalEquationsArgs args = arguments(p, add_ridge, out);
  normal_equations(Context::cpu(2), args);
  const std::int64_t m = p.system_size();
  for (std::int64_t u = 0; u < p.ratings.rows; ++u) {
    auto want = testing::reference_system(args, u, add_ridge);
    const double entries =
        static_cast<double>(args.ratings.offsets[u + 1] - args.ratings.offsets[u]);
    const double tolerance = 1e-5 * (1 + std::sqrt(entries));
    for (std::int64_t r = 0; r < m; ++r) {
      for (std::int64_t c = 0; c <= r; ++c)
        ASSERT_NEAR(args.systems.row(u)[r * m + c], want.at(r, c),
                    tolerance + 1e-5 * std::abs(want.at(r, c)))
            << what << ", row " << u << ", element " << r << ", " << c;
      const double b = want.b[static_cast<std::size_t>(r)];
      ASSERT_NEAR(args.rhs(u, r), b, tolerance + 1e-5 * std::abs(b)) << what << ", row " << u;
    }
  }
}

TEST(NormalEquations, AgreesWithTheReferenceForEveryNumberOfFactors) {
  for (const std::int64_t k : testing::kFactorCounts)
    for (const Variant variant : testing::kAllVariants)
      for (const bool add_ridge : {true, false})
        expect_reference(als_problem(variant, k > 64 ? 4 : 21, 90, k, 21), add_ridge,
                         std::string(name(variant)) + ", k " + std::to_string(k));
}

TEST(NormalEquations, AgreesWithTheReferenceForEveryNumberOfRows) {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000})
    for (const Variant variant : testing::kAllVariants)
      expect_reference(als_problem(variant, rows, 33, 5, 22, {1, 0, 5, 2}), true,
                       std::string(name(variant)) + ", rows " + std::to_string(rows));
}

TEST(NormalEquations, BitsDoNotDependOnTheNumberOfThreads) {
  const AlsProblem p =
      als_problem(Variant::explicit_biased, 40, 20'000, 20, 23, {5, 40, 100, 0, 20'000, 17, 300});
  const auto run = [&](int threads) {
    Systems out;
    normal_equations(Context::cpu(threads), arguments(p, true, out));
    return out;
  };
  const Systems want = run(1);
  EXPECT_EQ(run(2), want);
  EXPECT_EQ(run(3), want);
}

TEST(RowRanges, CoverEveryRowOnceWithBalancedWork) {
  for (const std::int64_t rows : {1, 2, 31, 1'000}) {
    const auto ratings = testing::random_ratings(rows, 50, {1, 50, 3, 0}, 24);
    for (const int threads : {1, 2, 7}) {
      const auto ranges = cpu::row_ranges(ratings.view(), 10, threads);
      EXPECT_EQ(ranges.front(), 0);
      EXPECT_EQ(ranges.back(), rows);
      for (std::size_t i = 1; i < ranges.size(); ++i) EXPECT_LT(ranges[i - 1], ranges[i]);
      if (rows < 1'000) continue;
      EXPECT_GE(ranges.size(), threads == 1 ? 2u : 20u * static_cast<unsigned>(threads));
    }
  }
}

}  // namespace
}  // namespace gradmill
