#include "kernels/als_solve/als_solve.h"

#include <gtest/gtest.h>

#include "runtime/context.h"
#include "tests/support/als_problem.h"

namespace gradmill {
namespace {
using testing::als_problem;
using testing::AlsProblem;
using testing::Variant;
constexpr float kPadding = -77;

struct Solution {
  std::vector<float> values, biases;
  std::int64_t stride = 0;
  std::int32_t failures = 0;
  bool operator==(const Solution&) const = default;
};

AlsSolveArgs arguments(const AlsProblem& p, Solution& out) {
  const std::int64_t rows = p.ratings.rows, k = p.num_factors;
  out.stride = k + 2;
  out.values.assign(static_cast<std::size_t>(rows * out.stride), kPadding);
  if (!p.biases.empty()) out.biases.assign(static_cast<std::size_t>(rows), kPadding);
  return {p.ratings.view(),
          p.weights_view(),
          p.factors_view(),
          p.biases_view(),
          p.base_view(),
          p.model,
          {out.values.data(), rows, k, out.stride, {}},
          {out.biases.data(), static_cast<std::int64_t>(out.biases.size()), {}},
          {&out.failures, 1, {}}};
}

Solution run(const Context& ctx, const AlsProblem& p) {
  Solution out;
  als_solve(ctx, arguments(p, out));
  return out;
}

void expect_reference(const AlsProblem& p, const std::string& what) {
  Solution out;
  const AlsSolveArgs args = arguments(p, out);
  als_solve(Context::cpu(2), args);
  EXPECT_EQ(out.failures, 0) << what;
  for (std::int64_t u = 0; u < p.ratings.rows; ++u) {
    const auto want = testing::reference_als_row(args, u);
    double scale = 0;
    for (const double w : want) scale = std::max(scale, std::abs(w));
    for (std::int64_t c = 0; c < p.num_factors; ++c)
      ASSERT_NEAR(args.solutions(u, c), want[static_cast<std::size_t>(c)], 1e-4 + 5e-4 * scale)
          << what << ", row " << u << ", factor " << c;
    if (args.biases.size) {
      ASSERT_NEAR(args.solution_biases[u], want.back(), 1e-4 + 5e-4 * scale) << what;
    }
    for (std::int64_t c = p.num_factors; c < out.stride; ++c)
      ASSERT_EQ(out.values[static_cast<std::size_t>(u * out.stride + c)], kPadding) << what;
  }
}

TEST(AlsSolve, AgreesWithTheReferenceForEveryNumberOfFactors) {
  for (const std::int64_t k : testing::kFactorCounts)
    for (const Variant variant : testing::kAllVariants)
      expect_reference(als_problem(variant, k > 64 ? 7 : 21, 90, k, 11),
                       std::string(name(variant)) + ", k " + std::to_string(k));
}

TEST(AlsSolve, AgreesWithTheReferenceForEveryNumberOfRows) {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000})
    for (const Variant variant : testing::kAllVariants)
      expect_reference(als_problem(variant, rows, 33, 9, 12, {1, 0, 5, 2}),
                       std::string(name(variant)) + ", rows " + std::to_string(rows));
}

TEST(AlsSolve, AgreesWithTheReferenceForHeavyRows) {
  for (const Variant variant : testing::kAllVariants)
    expect_reference(als_problem(variant, 3, 40'000, 17, 13, {40'000, 3, 9'000}),
                     std::string(name(variant)) + ", heavy");
}

TEST(AlsSolve, BitsDoNotDependOnTheNumberOfThreads) {
  const AlsProblem p = als_problem(Variant::implicit_weighted, 400, 12'000, 33, 14,
                                   {5, 40, 100, 0, 12'000, 17, 300, 8'192, 8'193, 1});
  const Context one = Context::cpu(1), two = Context::cpu(2), three = Context::cpu(3);
  const Solution want = run(one, p);
  EXPECT_EQ(run(two, p), want);
  EXPECT_EQ(run(three, p), want);
  EXPECT_EQ(run(one, p), want);
}

TEST(AlsSolve, ASliceOfRowsGivesTheBitsOfTheWhole) {
  const AlsProblem p = als_problem(Variant::explicit_biased, 50, 80, 20, 15);
  const Context ctx = Context::cpu(2);
  const Solution whole = run(ctx, p);
  Solution out;
  AlsSolveArgs args = arguments(p, out);
  args.ratings.rows = 13;
  args.ratings.offsets += 20;
  args.solutions = args.solutions.rows_slice(20, 13);
  args.solution_biases = args.solution_biases.slice(20, 13);
  als_solve(ctx, args);
  for (std::int64_t i = 20 * out.stride; i < 33 * out.stride; ++i)
    ASSERT_EQ(out.values[static_cast<std::size_t>(i)], whole.values[static_cast<std::size_t>(i)]);
  EXPECT_EQ(out.values[0], kPadding);
}

TEST(AlsSolve, CountsRowsThatAreNotPositiveDefiniteAndGivesZero) {
  AlsProblem p = als_problem(Variant::explicit_plain, 10, 30, 24, 16, {30, 2});
  p.model.regularization = -1e4f;
  const Solution out = run(Context::cpu(2), p);
  EXPECT_EQ(out.failures, 10);
  for (std::int64_t u = 0; u < 10; ++u)
    for (std::int64_t c = 0; c < 24; ++c)
      ASSERT_EQ(out.values[static_cast<std::size_t>(u * out.stride + c)], 0.0f);
}

}  // namespace
}  // namespace gradmill
