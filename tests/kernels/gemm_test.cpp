#include "kernels/gemm/gemm.h"

#include <gtest/gtest.h>

#include "tests/support/gemm_problem.h"

namespace gradmill {
namespace {
using testing::GemmCase;
using testing::GemmProblem;
using Finish = GemmArgs::Finish;

void check(const GemmCase& c, int threads = 2) {
  GemmProblem problem(c);
  const Context ctx = Context::cpu(threads);
  gemm(ctx, problem.args());
  problem.expect_right();
}

TEST(GemmTest, AllSizesAndBothTranspositions) {
  for (const std::int64_t m : {0, 1, 13, 31, 257})
    for (const std::int64_t n : {0, 1, 31, 32, 33, 100})
      for (const std::int64_t depth : {0, 1, 31, 256, 257, 600}) {
        check({m, n, depth});
        check({m, n, depth, true, false});
        check({m, n, depth, false, true});
        if (HasFailure()) return;
      }
}

TEST(GemmTest, AddsToWhatIsThere) {
  check({33, 65, 300, false, false, true});
  check({33, 65, 0, false, false, true});
}

TEST(GemmTest, EveryFinishWithEveryActivation) {
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu,
                                      Activation::silu, Activation::tanh})
    for (const Finish finish : {Finish::bias_activation, Finish::activation_gradient})
      for (const std::int64_t n : {7, 64}) {
        check({30, n, 300, false, true, false, finish, activation});
        check({30, n, 40, false, false, true, finish, activation});
        check({3, n, 0, false, false, false, finish, activation});
      }
}

TEST(GemmTest, SlopesAgreeWithFiniteDifferences) {
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu,
                                      Activation::silu, Activation::tanh})
    for (const float x : {-3.0f, -0.7f, -0.01f, 0.02f, 0.9f, 4.0f}) {
      const float h = 1e-3f;
      const float slope = (activate(activation, x + h) - activate(activation, x - h)) / (2 * h);
      const float kept = needs_pre_activation(activation) ? x : activate(activation, x);
      EXPECT_NEAR(activation_slope(activation, kept), slope, 2e-3) << static_cast<int>(activation);
    }
}

TEST(GemmTest, BitsDoNotDependOnThreadsOrOnOtherRows) {
  GemmProblem one({500, 96, 700}), three({500, 96, 700}), part({40, 96, 700});
  gemm(Context::cpu(1), one.args());
  gemm(Context::cpu(3), three.args());
  gemm(Context::cpu(2), part.args());
  EXPECT_EQ(one.result(), three.result());
  const auto whole = one.result(), few = part.result();
  EXPECT_TRUE(std::equal(few.begin(), few.end(), whole.begin()));
}

TEST(GemmTest, ShapesThatDisagreeAreRefused) {
  GemmProblem problem({3, 4, 5});
  GemmArgs args = problem.args();
  args.b.rows = 6;
  EXPECT_ANY_THROW(gemm(Context::cpu(1), args));
}
}  // namespace
}  // namespace gradmill
