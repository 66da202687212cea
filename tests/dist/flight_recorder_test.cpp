#include "dist/flight_recorder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "dist/communicator.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

FlightOrigin origin_of(int rank) {
  FlightOrigin origin;
  origin.rank = rank;
  origin.world_size = 4;
  origin.process = 77;
  origin.generation = 3;
  std::strcpy(origin.host, "node7");
  return origin;
}

TEST(FlightRecorder, KeepsTheLastEventsInOrder) {
  const TemporaryFolder folder;
  FlightRecorder recorder(origin_of(2));
  recorder.phase(Phase::load);
  recorder.save_to(folder / "r");  // what was there before is in the file too
  recorder.phase(Phase::train);
  for (std::int64_t i = 1; i <= 5000; ++i) {
    recorder.step(i);
    recorder.enter({Collective::all_gather, i, 8 * i, Device{}});
    if (i < 5000) recorder.leave();
  }
  const FlightRecord record = FlightRecorder::read(folder / "r");
  EXPECT_EQ(record.origin.rank, 2);
  EXPECT_STREQ(record.origin.host, "node7");
  EXPECT_EQ(record.origin.generation, 3);
  ASSERT_EQ(static_cast<std::int64_t>(record.events.size()), FlightRecorder::kEvents);
  const FlightEvent& last = record.events.back();
  EXPECT_EQ(last.kind, FlightEvent::Kind::enter);
  EXPECT_EQ(last.collective, Collective::all_gather);
  EXPECT_EQ(last.sequence, 5000);
  EXPECT_EQ(last.bytes, 40000);
  EXPECT_EQ(last.phase, Phase::train);
  for (std::size_t i = 1; i < record.events.size(); ++i)
    EXPECT_GE(record.events[i].time_ns, record.events[i - 1].time_ns);
  const FlightStatus status = recorder.status();
  EXPECT_TRUE(status.waiting);
  EXPECT_EQ(status.last.sequence, 5000);
  EXPECT_EQ(status.last.step, 5000);
}

TEST(FlightRecorder, SurvivesKill) {
  const TemporaryFolder folder;
  const std::string path = folder / "r";
  const pid_t child = ::fork();
  if (child == 0) {
    FlightRecorder recorder(origin_of(1));
    recorder.save_to(path);
    recorder.enter({Collective::broadcast, 42, 5, Device{}});
    (void)::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const FlightRecord record = FlightRecorder::read(path);
  EXPECT_EQ(record.origin.end, FlightOrigin::End::running);
  ASSERT_FALSE(record.events.empty());
  EXPECT_EQ(record.events.back().sequence, 42);
}

TEST(FlightRecorder, RefusesWhatIsNoRecord) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { FlightRecorder::read(folder / "absent"); }).kind(),
            ErrorKind::input_missing);
  testing::write_bytes(folder / "short", "gradmill flight");
  EXPECT_EQ(error_of([&] { FlightRecorder::read(folder / "short"); }).kind(), ErrorKind::data);
  testing::write_bytes(folder / "other", std::string(1 << 20, 'x'));
  EXPECT_EQ(error_of([&] { FlightRecorder::read(folder / "other"); }).kind(), ErrorKind::data);
  EXPECT_EQ(error_of([&] { FlightRecorder(origin_of(0)).save_to(folder / "no/r"); }).kind(),
            ErrorKind::cannot_write);
}

}  // namespace
}  // namespace gradmill
