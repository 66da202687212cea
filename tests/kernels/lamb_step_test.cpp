#include "kernels/lamb_step/lamb_step.h"

#include <gtest/gtest.h>

#include "tests/support/lamb_problem.h"

namespace gradmill {
namespace {
using testing::LambProblem;

TEST(LambStepTest, AgainstDoublePrecision) {
  for (const std::vector<std::int64_t>& sizes :
       std::vector<std::vector<std::int64_t>>{{}, {16}, {48, 16, 3 * kLambChunk + 160, 32}})
    for (const bool freezes : {false, true}) {
      LambProblem p(sizes, freezes);
      const LambProblem before(sizes, freezes);
      LambProblem three(sizes, freezes);
      lamb_step(Context::cpu(1), p.args);
      lamb_step(Context::cpu(3), three.args);
      EXPECT_EQ(p.values, three.values);
      const std::vector<double> expected = before.reference();
      for (std::size_t e = 0; e < expected.size(); ++e) {
        ASSERT_NEAR(p.values[e], expected[e], 2e-6 * (1 + std::abs(expected[e]))) << e;
        ASSERT_NEAR(p.averages[e], 0.75 * double{before.averages[e]} + 0.25 * expected[e], 2e-6);
      }
    }
}

TEST(LambStepTest, NothingChangesUnlessTheStateSaysSo) {
  LambProblem p({64, 32}, false);
  const LambProblem before({64, 32}, false);
  p.state[StepState::applies] = 0;
  lamb_step(Context::cpu(1), p.args);
  EXPECT_EQ(p.values, before.values);
  EXPECT_EQ(p.slots, before.slots);
}
}  // namespace
}  // namespace gradmill
