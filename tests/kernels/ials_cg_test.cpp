#include "kernels/ials_cg/ials_cg.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/context.h"
#include "tests/support/als_problem.h"

namespace gradmill {
namespace {
using testing::als_problem;
using testing::AlsProblem;
using testing::kAllVariants;
using testing::Variant;
constexpr float kPadding = -77;

/// Solutions to start from, with padded rows, and biases.
struct Solutions {
  explicit Solutions(const AlsProblem& p)
      : stride(p.num_factors + 2),
        factors(
            testing::random_values(std::max<std::int64_t>(1, p.ratings.rows * stride), 99, 0.1f)),
        biases(p.biases.empty() ? std::vector<float>{}
                                : testing::random_values(p.ratings.rows, 98, 0.1f)) {
    for (std::int64_t r = 0; r < p.ratings.rows; ++r)
      for (std::int64_t c = p.num_factors; c < stride; ++c)
        factors[static_cast<std::size_t>(r * stride + c)] = kPadding;
  }
  bool operator==(const Solutions&) const = default;

  std::int64_t stride;
  std::vector<float> factors, biases;
};

IalsCgArgs arguments(const AlsProblem& p, int steps, Solutions& x) {
  return {p.ratings.view(),
          p.weights_view(),
          p.factors_view(),
          p.biases_view(),
          p.base_view(),
          p.model,
          steps,
          {x.factors.data(), p.ratings.rows, p.num_factors, x.stride, {}},
          {x.biases.data(), static_cast<std::int64_t>(x.biases.size()), {}}};
}

Solutions run(const Context& ctx, const AlsProblem& p, int steps) {
  Solutions x(p);
  ials_cg(ctx, arguments(p, steps, x));
  return x;
}

void expect_reference(const AlsProblem& p, int steps, const std::string& what) {
  Solutions before(p), after(p);
  const IalsCgArgs start = arguments(p, steps, before), args = arguments(p, steps, after);
  ials_cg(Context::cpu(2), args);
  for (std::int64_t u = 0; u < p.ratings.rows; ++u) {
    const auto want = testing::reference_ials_cg_row(start, u);
    double scale = 0;
    for (const double w : want) scale = std::max(scale, std::abs(w));
    for (std::int64_t c = 0; c < p.system_size(); ++c)
      ASSERT_NEAR(c < p.num_factors ? args.solutions(u, c) : args.solution_biases[u],
                  want[static_cast<std::size_t>(c)], 1e-4 + 1e-3 * scale)
          << what << ", row " << u << ", factor " << c;
    for (std::int64_t c = p.num_factors; c < args.solutions.stride; ++c)
      ASSERT_EQ(args.solutions.row(u)[c], kPadding) << what;
  }
}

TEST(IalsCg, AgreesWithTheReferenceForEveryNumberOfFactors) {
  for (const std::int64_t k : testing::kFactorCounts)
    for (const Variant variant : kAllVariants)
      expect_reference(als_problem(variant, k > 64 ? 9 : 21, 90, k, 41), 3,
                       std::string(name(variant)) + ", k " + std::to_string(k));
}

TEST(IalsCg, AgreesWithTheReferenceForEveryNumberOfRows) {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000})
    for (const Variant variant : kAllVariants)
      expect_reference(als_problem(variant, rows, 33, 9, 42, {1, 0, 5, 2}), 3,
                       std::string(name(variant)) + ", rows " + std::to_string(rows));
}

// Rows of whole vectors are read in place, others are copied.
constexpr std::int64_t kInPlace = 32, kCopied = 33;

TEST(IalsCg, AgreesWithTheReferenceForRowsLargerThanTheCache) {
  for (const std::int64_t k : {kInPlace, kCopied})
    for (const Variant variant : {Variant::implicit_weighted, Variant::explicit_biased})
      expect_reference(als_problem(variant, 4, 15'000, k, 43, {15'000, 3, 9'000}), 3,
                       std::string(name(variant)) + ", heavy, k " + std::to_string(k));
}

TEST(IalsCg, AgreesWithTheReferenceForEveryNumberOfSteps) {
  for (const std::int64_t k : {kInPlace, kCopied})
    for (const int steps : {0, 1, 2, 5})
      for (const Variant variant : kAllVariants)
        expect_reference(als_problem(variant, 20, 60, k, 44), steps,
                         fmt::format("{}, steps {}, k {}", testing::name(variant), steps, k));
}

TEST(IalsCg, StopsWhenConverged) {  // and does not divide by a residual of zero
  for (const Variant variant : kAllVariants) {
    const Solutions x = run(Context::cpu(1), als_problem(variant, 20, 60, 6, 45), 200);
    for (const float v : x.factors) ASSERT_TRUE(std::isfinite(v));
    for (const float v : x.biases) ASSERT_TRUE(std::isfinite(v));
  }
}

TEST(IalsCg, ManyStepsSolveAsAlsSolveDoes) {
  for (const Variant variant : kAllVariants) {
    const AlsProblem p = als_problem(variant, 40, 300, 16, 47);
    const Solutions x = run(Context::cpu(2), p, 60);
    Solutions want(p);
    const IalsCgArgs of = arguments(p, 0, want);
    std::int32_t failures = 0;
    als_solve(Context::cpu(2), {of.ratings,
                                of.weights,
                                of.factors,
                                of.biases,
                                of.base,
                                of.model,
                                of.solutions,
                                of.solution_biases,
                                {&failures, 1, {}}});
    ASSERT_EQ(failures, 0);
    for (std::size_t i = 0; i < want.factors.size(); ++i)
      ASSERT_NEAR(x.factors[i], want.factors[i], 1e-3) << name(variant);
    for (std::size_t i = 0; i < want.biases.size(); ++i)
      ASSERT_NEAR(x.biases[i], want.biases[i], 1e-3) << name(variant);
  }
}

TEST(IalsCg, BitsDoNotDependOnTheNumberOfThreads) {
  const Context one = Context::cpu(1), two = Context::cpu(2), three = Context::cpu(3);
  for (const std::int64_t k : {kInPlace, kCopied}) {
    for (const Variant variant : {Variant::implicit_weighted, Variant::explicit_biased}) {
      const AlsProblem p = als_problem(variant, 400, 12'000, k, 46,
                                       {5, 40, 100, 0, 12'000, 17, 300, 8'192, 8'193, 1});
      const Solutions want = run(one, p, 3);
      EXPECT_TRUE(run(two, p, 3) == want);
      EXPECT_TRUE(run(three, p, 3) == want);
    }
  }
}

}  // namespace
}  // namespace gradmill
