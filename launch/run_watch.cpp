#include "launch/run_watch.h"

#include <unistd.h>

#include <chrono>
#include <cstring>

#include "launch/environment.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {

FlightOrigin origin_of(const Communicator& comm, const RunDirectory& directory) {
  FlightOrigin origin;
  origin.rank = comm.rank();
  origin.world_size = comm.world_size();
  origin.process = ::getpid();
  origin.generation = directory.generation();
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  origin.clock_offset_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count() - monotonic_ns();
  const std::string host = host_name().substr(0, sizeof origin.host - 1);
  std::memcpy(origin.host, host.data(), host.size());
  return origin;
}

WatchdogOptions options_of(const RunDirectory& directory, const FlightRecorder& recorder,
                           const TrainConfig& config, Log& log) {
  WatchdogOptions options;
  options.silent_seconds = config.heartbeat_s;
  options.collective_seconds = config.timeout_s;
  options.warn = [&log](const std::string& text) { log.warning(text); };
  options.last_words = [&](ErrorKind kind, const std::string& text) {
    log.error(text);
    directory.write_error(kind, text, recorder.status());
  };
  return options;
}

}  // namespace

RunWatch::RunWatch(const Context& ctx, Communicator& comm, const RunDirectory& directory,
                   const TrainConfig& config, Log& log)
    : directory_(directory),
      recorder_(origin_of(comm, directory)),
      watchdog_(ctx, comm, recorder_, options_of(directory, recorder_, config, log)) {
  recorder_.save_to(directory.flight());
}

void RunWatch::failed(ErrorKind kind, const std::string& message) noexcept {
  watchdog_.failed(kind, message);
  directory_.write_error(kind, message, recorder_.status());
  recorder_.end(FlightOrigin::End::failed, exit_code(kind));
}

}  // namespace gradmill
