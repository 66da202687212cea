// What each rank did last: a ring of events in a memory-mapped file, which the kernel keeps however the
// process ends. `gradmill diagnose` reads the files of all ranks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dist/collective_observer.h"

namespace gradmill {

/// What a rank is at.
enum class Phase : std::uint8_t { start, load, train, evaluate, save, finish };
std::string_view phase_name(Phase phase);

struct FlightEvent {
  enum class Kind : std::uint8_t { phase, step, enter, leave };
  std::int64_t time_ns = 0;  // of the rank's monotonic clock
  std::int64_t step = 0, sequence = 0, bytes = 0;
  Kind kind = Kind::phase;
  Phase phase = Phase::start;
  Collective collective = Collective::none;
  DeviceKind device_kind = DeviceKind::cpu;
  std::int32_t device_ordinal = 0;
};

/// Who wrote a record, and how it ended.
struct FlightOrigin {
  enum class End : std::uint8_t { running, done, failed };
  std::int32_t rank = 0, world_size = 1, process = 0;
  std::int32_t code = 0;             // exit code; of failed
  std::int64_t generation = 0;       // of the run: how often it was started
  std::int64_t clock_offset_ns = 0;  // wall clock - monotonic clock at the start
  End end = End::running;
  char host[64] = {};
};

/// A moment of a rank, as its own watchdog thread and the other ranks see it.
struct FlightStatus {
  /// The last calls, told apart by kind and bytes: entry i is of the one numbered last.sequence - i.
  static constexpr std::int64_t kCalls = 8;
  std::uint64_t calls[kCalls] = {};  // 0: none, or not known
  FlightEvent last;
  bool waiting = false;     // inside a collective
  double idle_seconds = 0;  // since the last event
};

/// A record read back; events from old to new.
struct FlightRecord {
  FlightOrigin origin;
  std::vector<FlightEvent> events;
};

/// Written by one thread; status() may be called by others. An event costs a clock read and a few
/// stores.
class FlightRecorder {
 public:
  static constexpr std::int64_t kEvents = 4096;

  explicit FlightRecorder(const FlightOrigin& origin);
  ~FlightRecorder();
  FlightRecorder(FlightRecorder&&) = delete;

  /// From now on (with what is there already) in this file, which is replaced.
  /// Errors: ErrorKind::cannot_write.
  void save_to(const std::string& path);

  void phase(Phase phase);
  void step(std::int64_t step);
  void enter(const CollectiveCall& call);
  void leave();
  void end(FlightOrigin::End how, int code);

  FlightStatus status() const;
  const FlightOrigin& origin() const;

  /// A file of save_to(), also while it is being written. Errors: ErrorKind::input_missing, data.
  static FlightRecord read(const std::string& path);

 private:
  struct Layout;
  void add(FlightEvent::Kind kind);
  Layout* layout_;
  FlightEvent current_;
};

}  // namespace gradmill
