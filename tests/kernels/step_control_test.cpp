#include "kernels/step_control/step_control.h"

#include <gtest/gtest.h>

#include "tests/support/step_control_problem.h"

namespace gradmill {
namespace {
using testing::StepControlProblem;

TEST(StepControlTest, NormClipAndCounters) {
  for (const std::int64_t size : {0, 1, 31, 32, 33, 257, 10000})
    for (const float clip : {0.0f, 1.5f, 1e6f})
      for (const double scale : {0.0, 256.0}) {
        StepControlProblem p(size), other(size);
        p.state[StepState::loss_scale] = other.state[StepState::loss_scale] = scale;
        p.state[StepState::made] = other.state[StepState::made] = 4;
        p.state[StepState::loss] = other.state[StepState::loss] = 2;
        StepControlArgs args = p.args(), again = other.args();
        args.clip = again.clip = clip;
        step_control(Context::cpu(1), args);
        step_control(Context::cpu(3), again);
        EXPECT_EQ(p.state, other.state);
        EXPECT_EQ(p.state, p.report);
        const double by = scale > 0 ? scale : 1, norm = p.norm() / by;
        EXPECT_NEAR(p.state[StepState::norm], norm, 1e-10 * norm);
        EXPECT_EQ(p.state[StepState::applies], 1);
        EXPECT_EQ(p.state[StepState::made], 5);
        EXPECT_EQ(p.state[StepState::loss], 5.25);
        EXPECT_EQ(p.state[StepState::weight], 64);
        EXPECT_EQ(p.state[StepState::rate], 0.125);
        EXPECT_NEAR(p.state[StepState::unbias1], 1 / (1 - std::pow(0.9, 5)), 1e-6);
        EXPECT_NEAR(p.state[StepState::unbias2], 1 / (1 - std::pow(0.99, 5)), 1e-4);
        const double limit = static_cast<double>(clip);
        const double expected = (limit > 0 && norm > limit ? limit / norm : 1) / by;
        EXPECT_NEAR(p.state[StepState::scale], expected, 1e-9 * expected);
      }
}

TEST(StepControlTest, WhatIsNotFiniteIsSkippedOrEndsTheRun) {
  for (const float bad : {INFINITY, std::nanf("")})
    for (const int place : {0, 1, 2, 3})
      for (const bool stop : {false, true}) {
        StepControlProblem p(9000);
        if (place == 0) p.gradient[8999] = bad;
        if (place == 1) p.more[5] = bad;
        if (place == 2) p.last[4500 - 1] = bad;
        if (place == 3) p.loss_parts[0] = bad;
        StepControlArgs args = p.args();
        args.stop = stop;
        step_control(Context::cpu(2), args);
        EXPECT_EQ(p.state[StepState::applies], 0);
        EXPECT_EQ(p.state[StepState::made], 0);
        EXPECT_EQ(p.state[StepState::loss], 0);
        EXPECT_EQ(p.state[StepState::skipped], stop ? 0 : 1);
        EXPECT_EQ(p.state[StepState::failed], stop ? 18 : 0);
        // After a failure nothing changes any more.
        StepControlProblem good(9000);
        args.parts[0].values = StepControlProblem::view(good.gradient);
        args.parts[1].values = StepControlProblem::view(good.more);
        args.parts[2].values = StepControlProblem::view(good.last);
        args.loss_parts = StepControlProblem::view(good.loss_parts);
        p.input[StepInput::step] = 18;
        step_control(Context::cpu(1), args);
        EXPECT_EQ(p.state[StepState::applies], stop ? 0 : 1);
        EXPECT_EQ(p.state[StepState::failed], stop ? 18 : 0);
      }
}

TEST(StepControlTest, LossScaleFollowsOverflows) {
  StepControlProblem p(100);
  p.state[StepState::loss_scale] = 4;
  StepControlArgs args = p.args();
  args.dynamic = args.stop = true;
  const float whole = p.gradient[3];
  p.gradient[3] = INFINITY;
  step_control(Context::cpu(1), args);
  step_control(Context::cpu(1), args);
  EXPECT_EQ(p.state[StepState::loss_scale], 1);
  EXPECT_EQ(p.state[StepState::overflowed], 2);
  EXPECT_EQ(p.state[StepState::failed], 0);
  p.gradient[3] = whole;
  for (int i = 0; i < kLossScaleCalm; ++i) step_control(Context::cpu(1), args);
  EXPECT_EQ(p.state[StepState::loss_scale], 2);
  EXPECT_EQ(p.state[StepState::calm], 0);
  p.state[StepState::loss_scale] = 1;
  p.gradient[3] = INFINITY;  // no scale is left to lower
  step_control(Context::cpu(1), args);
  EXPECT_EQ(p.state[StepState::failed], 18);
}
}  // namespace
}  // namespace gradmill
