// What is known of a run while it goes on and after it has failed, on one rank: flight recorder, watchdog,
// error file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dist/flight_recorder.h"
#include "dist/watchdog.h"
#include "launch/config.h"
#include "launch/run_directory.h"
#include "runtime/log.h"

namespace gradmill {

class RunWatch {
 public:
  /// Collective. All that is given outlives it.
  RunWatch(const Context& ctx, Communicator& comm, const RunDirectory& directory,
           const TrainConfig& config, Log& log);

  void phase(Phase phase) { recorder_.phase(phase); }
  void step(std::int64_t step) { recorder_.step(step); }
  void done() { recorder_.end(FlightOrigin::End::done, 0); }
  /// Writes the error file and tells the other ranks.
  void failed(ErrorKind kind, const std::string& message) noexcept;

 private:
  const RunDirectory& directory_;
  FlightRecorder recorder_;
  Watchdog watchdog_;
};

}  // namespace gradmill
