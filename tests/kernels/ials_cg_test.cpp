#include "kernels/ials_cg/ials_cg.h"

#include <gtest/gtest.h>

#include "runtime/context.h"
#include "tests/support/als_problem.h"

namespace gradmill {
namespace {
using testing::als_problem;
using testing::AlsProblem;
using testing::Variant;
constexpr float kPadding = -77;

/// Solutions to start from, with padded rows.
std::vector<float> start_values(const AlsProblem& p, std::int64_t stride) {
  auto x = testing::random_values(std::max<std::int64_t>(1, p.ratings.rows * stride), 99, 0.1f);
  for (std::int64_t r = 0; r < p.ratings.rows; ++r)
    for (std::int64_t c = p.num_factors; c < stride; ++c)
      x[static_cast<std::size_t>(r * stride + c)] = kPadding;
  return x;
}

IalsCgArgs arguments(const AlsProblem& p, int steps, std::vector<float>& x) {
  const std::int64_t stride = p.num_factors + 2;
  x = start_values(p, stride);
  return {p.ratings.view(),
          p.weights_view(),
          p.factors_view(),
          p.base_view(),
          p.model,
          steps,
          {x.data(), p.ratings.rows, p.num_factors, stride, {}}};
}

std::vector<float> run(const Context& ctx, const AlsProblem& p, int steps) {
  std::vector<float> x;
  ials_cg(ctx, arguments(p, steps, x));
  return x;
}

void expect_reference(const AlsProblem& p, int steps, const std::string& what) {
  std::vector<float> before, after;
  const IalsCgArgs start = arguments(p, steps, before), args = arguments(p, steps, after);
  ials_cg(Context::cpu(2), args);
  for (std::int64_t u = 0; u < p.ratings.rows; ++u) {
    const auto want = testing::reference_ials_cg_row(start, u);
    double scale = 0;
    for (const double w : want) scale = std::max(scale, std::abs(w));
    for (std::int64_t c = 0; c < p.num_factors; ++c)
      ASSERT_NEAR(args.solutions(u, c), want[static_cast<std::size_t>(c)], 1e-4 + 1e-3 * scale)
          << what << ", row " << u << ", factor " << c;
    for (std::int64_t c = p.num_factors; c < args.solutions.stride; ++c)
      ASSERT_EQ(args.solutions.row(u)[c], kPadding) << what;
  }
}

TEST(IalsCg, AgreesWithTheReferenceForEveryNumberOfFactors) {
  for (const std::int64_t k : testing::kFactorCounts)
    for (const Variant variant : {Variant::implicit, Variant::implicit_weighted})
      expect_reference(als_problem(variant, k > 64 ? 9 : 21, 90, k, 41), 3,
                       std::string(name(variant)) + ", k " + std::to_string(k));
}

TEST(IalsCg, AgreesWithTheReferenceForEveryNumberOfRows) {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000})
    for (const Variant variant : {Variant::implicit, Variant::implicit_weighted})
      expect_reference(als_problem(variant, rows, 33, 9, 42, {1, 0, 5, 2}), 3,
                       std::string(name(variant)) + ", rows " + std::to_string(rows));
}

// Rows of whole vectors are read in place, others are copied.
constexpr std::int64_t kInPlace = 32, kCopied = 33;

TEST(IalsCg, AgreesWithTheReferenceForRowsLargerThanTheCache) {
  for (const std::int64_t k : {kInPlace, kCopied})
    expect_reference(als_problem(Variant::implicit_weighted, 4, 15'000, k, 43, {15'000, 3, 9'000}),
                     3, "heavy, k " + std::to_string(k));
}

TEST(IalsCg, AgreesWithTheReferenceForEveryNumberOfSteps) {
  for (const std::int64_t k : {kInPlace, kCopied})
    for (const int steps : {0, 1, 2, 5})
      expect_reference(als_problem(Variant::implicit, 20, 60, k, 44), steps,
                       "steps " + std::to_string(steps) + ", k " + std::to_string(k));
}

TEST(IalsCg, StopsWhenConverged) {  // and does not divide by a residual of zero
  const AlsProblem p = als_problem(Variant::implicit, 20, 60, 6, 45);
  const auto x = run(Context::cpu(1), p, 200);
  for (const float v : x) ASSERT_TRUE(std::isfinite(v));
}

TEST(IalsCg, BitsDoNotDependOnTheNumberOfThreads) {
  const Context one = Context::cpu(1), two = Context::cpu(2), three = Context::cpu(3);
  for (const std::int64_t k : {kInPlace, kCopied}) {
    const AlsProblem p = als_problem(Variant::implicit_weighted, 400, 12'000, k, 46,
                                     {5, 40, 100, 0, 12'000, 17, 300, 8'192, 8'193, 1});
    const auto want = run(one, p, 3);
    EXPECT_EQ(run(two, p, 3), want);
    EXPECT_EQ(run(three, p, 3), want);
  }
}

}  // namespace
}  // namespace gradmill
