// Knows of every rank whether it lives and what it does, beside the collectives: a thread a rank, with a
// heartbeat to rank 0 and from it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "dist/communicator.h"
#include "dist/flight_recorder.h"
#include "runtime/error.h"

namespace gradmill {

struct WatchdogOptions {
  double silent_seconds = 15;  // a rank without a heartbeat for so long is lost; 0: no heartbeats
  double collective_seconds = 600;               // the communicator's own deadline
  double slow_seconds = 30;                      // all others wait for one rank: a warning
  std::function<void(const std::string&)> warn;  // by the watchdog's thread
  /// By the watchdog's thread, before it ends the process because the rank's own thread cannot.
  std::function<void(ErrorKind, const std::string&)> last_words;
};

/// Finds out, and makes every waiting rank end with an error that names rank, host, process, phase,
/// step and collective:
///   a process that has ended    at once, by its connection          ErrorKind::peer_lost
///   one that is stopped         after silent_seconds                 peer_lost
///   a rank that failed          at once, and its error is taken over
///   different collectives       within a second                      internal
/// A rank that cannot end by itself, because its thread does not come back, is ended by _exit.
class Watchdog final : public CollectiveObserver {
 public:
  /// Collective. comm is observed until the end of this object.
  Watchdog(const Context& ctx, Communicator& comm, FlightRecorder& recorder,
           WatchdogOptions options);
  ~Watchdog();
  Watchdog(Watchdog&&) = delete;

  /// This rank ends with this error: the others hear of it when this object ends.
  void failed(ErrorKind kind, const std::string& text) noexcept;

  void entered(const CollectiveCall& call) override { recorder_.enter(call); }
  void left() override { recorder_.leave(); }
  void waiting() override;
  std::string whom_all_wait_for() override;

 private:
  class Thread;
  Communicator& comm_;
  FlightRecorder& recorder_;
  std::unique_ptr<Thread> thread_;  // nullptr: no heartbeats
};

}  // namespace gradmill
