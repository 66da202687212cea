#include "launch/process_tree.h"

#include <gtest/gtest.h>

#include <csignal>

#include "launch/stop_request.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

ProcessEnd end_of(const SignalQueue& signals, ProcessTree& child) {
  for (;;) {
    if (const auto end = child.ended()) return *end;
    (void)signals.wait(1);
  }
}

TEST(ProcessTree, TellsCodesAndSignals) {
  const SignalQueue signals;
  ProcessTree code({"sh", "-c", "exit 42"});
  EXPECT_EQ(end_of(signals, code).code, 42);
  ProcessTree killed({"sh", "-c", "kill -9 $$"});
  EXPECT_EQ(end_of(signals, killed).signal, SIGKILL);
  ProcessTree told({"sleep", "1000"});
  told.signal(SIGTERM);
  EXPECT_EQ(end_of(signals, told).signal, SIGTERM);
  EXPECT_EQ(error_of([] { ProcessTree({"/no/such/program"}); }).kind(), ErrorKind::usage);
}

TEST(ProcessTree, NothingThatItStartedIsLeft) {
  const SignalQueue signals;
  const TemporaryFolder folder;
  // A grandchild in a session of its own that ignores every polite signal, and outlives its parent.
  ProcessTree child({"sh", "-c",
                     "setsid sh -c 'trap \"\" TERM HUP; echo $$ > " + folder.path() + "/pid; mv " +
                         folder.path() + "/pid " + folder.path() +
                         "/there; sleep 1000' & while [ ! -e " + folder.path() +
                         "/there ]; do sleep 0.01; done"});
  EXPECT_EQ(end_of(signals, child).code, 0);
  const pid_t orphan = std::stoi(testing::read_bytes(folder / "there"));
  EXPECT_EQ(::kill(orphan, 0), 0);
  EXPECT_GE(child.kill_all(), 1);
  EXPECT_NE(::kill(orphan, 0), 0);
}

TEST(StopRequest, NotesTheFirstSignal) {
  {
    const StopRequest request;
    EXPECT_EQ(stop_signal(), 0);
    (void)::raise(SIGUSR1);
    (void)::raise(SIGUSR1);
    (void)::raise(SIGTERM);
    EXPECT_EQ(stop_signal(), SIGUSR1);
  }
  const StopRequest again;
  EXPECT_EQ(stop_signal(), 0);
}

TEST(StopRequestDeathTest, TheSecondRequestToEndIsObeyed) {
  const auto twice = [](int first, int second) {
    const StopRequest request;
    (void)::raise(first);
    (void)::raise(second);
  };
  EXPECT_EXIT(twice(SIGINT, SIGINT), ::testing::KilledBySignal(SIGINT), "");
  EXPECT_EXIT(twice(SIGINT, SIGTERM), ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace gradmill
