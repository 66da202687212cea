#include "launch/restart_policy.h"

#include <gtest/gtest.h>

#include <csignal>

#include "runtime/exit_codes.h"

namespace gradmill {
namespace {

TEST(RestartPolicy, EndsOnSuccessPreemptionAndWhatCannotPass) {
  EXPECT_EQ(RestartPolicy(3).after({0, 0}, 5, false).code, 0);
  for (const ExitCode& code : exit_codes()) {
    const auto decision = RestartPolicy(3).after({code.code, 0}, 5, false);
    EXPECT_EQ(decision.restart, code.retry != Retry::no && code.retry != Retry::resume)
        << code.code;
    EXPECT_EQ(decision.code, code.code);
  }
}

TEST(RestartPolicy, GivesUpAfterRestartsInVain) {
  RestartPolicy policy(3);
  for (int i = 0; i < 3; ++i) {
    const auto decision = policy.after({76, 0}, 10, false);
    EXPECT_TRUE(decision.restart);
    EXPECT_EQ(decision.wait_seconds, 1 << i);
  }
  const auto decision = policy.after({76, 0}, 10, false);
  EXPECT_FALSE(decision.restart);
  EXPECT_EQ(decision.code, 82);
  EXPECT_EQ(policy.restarts(), 3);
}

TEST(RestartPolicy, ProgressStartsTheCountAnew) {
  RestartPolicy policy(2);
  for (std::int64_t step = 1; step < 200; ++step) {
    const auto decision = policy.after({0, SIGKILL}, step, false);
    EXPECT_TRUE(decision.restart);
    EXPECT_EQ(decision.wait_seconds, 1);
  }
  EXPECT_TRUE(policy.after({0, SIGKILL}, 199, false).restart);
  EXPECT_EQ(policy.after({137, 0}, 199, false).code, 82);
}

TEST(RestartPolicy, WithoutAnyCheckpointTheFirstRestartIsInVainToo) {
  RestartPolicy policy(1);
  EXPECT_TRUE(policy.after({76, 0}, -1, false).restart);
  EXPECT_EQ(policy.after({76, 0}, -1, false).code, 82);
  EXPECT_EQ(RestartPolicy(0).after({76, 0}, -1, false).code, 82);
}

TEST(RestartPolicy, AnInternalErrorIsTriedOnce) {
  RestartPolicy policy(3);
  EXPECT_TRUE(policy.after({70, 0}, 1, false).restart);
  EXPECT_FALSE(policy.after({70, 0}, 2, false).restart);
  EXPECT_EQ(policy.after({70, 0}, 3, false).code, 70);
}

TEST(RestartPolicy, CodesThatAreNotOursNeverLeave) {
  for (const int code : {1, 2, 126, 127, 134, 137, 139, 213, 255}) {
    RestartPolicy policy(0);
    const auto decision = policy.after({code, 0}, -1, false);
    EXPECT_TRUE(find_exit_code(decision.code)) << code << " became " << decision.code;
  }
  EXPECT_EQ(RestartPolicy(3).after({0, SIGSEGV}, 1, true).code, 76);
}

TEST(RestartPolicy, WaitsAreBounded) {
  RestartPolicy policy(100);
  double longest = 0;
  for (int i = 0; i < 100; ++i) longest = policy.after({76, 0}, 1, false).wait_seconds;
  EXPECT_EQ(longest, 60);
}

}  // namespace
}  // namespace gradmill
