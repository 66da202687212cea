// One rank of a run whose last rank has a fault, under a watchdog: watched_rank FAULT
// The communicator's own deadline is far off, so it is the watchdog that finds the fault.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "dist/watchdog.h"
#include "dist/world.h"
#include "runtime/buffer.h"
#include "runtime/error.h"

using namespace gradmill;

namespace {

constexpr double kDeadline = 120;

void fault_of_last_rank(const Context& ctx, Communicator& comm, FlightRecorder& recorder,
                        std::string_view fault) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(comm.world_size()));
  const auto view = VectorView<std::int64_t>{values.data(), comm.world_size(), {}};
  if (fault == "kill") (void)raise(SIGKILL);
  if (fault == "stop") (void)raise(SIGSTOP);
  if (fault == "exit") std::_Exit(3);
  if (fault == "throw") fail(ErrorKind::data, "ratings.csv:7: bad rating");
  if (fault == "slow") sleep(4);
  if (fault == "deaf") {  // computes for ever, while rank 0 is killed
    recorder.phase(Phase::evaluate);
    for (;;) sleep(1);
  }
  if (fault == "other_kind") comm.broadcast(ctx, view, comm.rank());
  if (fault == "other_size")
    comm.all_reduce_sum(ctx, VectorView<std::int64_t>{values.data(), 1, {}});
  if (fault == "one_more") comm.barrier();
}

void work(World& world, std::string_view fault) {
  const Context ctx = Context::cpu(1);
  const auto comm = world.communicator(ctx);
  FlightOrigin origin;
  origin.rank = world.rank();
  origin.world_size = world.world_size();
  origin.process = getpid();
  gethostname(origin.host, sizeof origin.host - 1);
  FlightRecorder recorder(origin);
  WatchdogOptions options;
  options.silent_seconds = fault == "stop" ? 4 : 60;
  options.collective_seconds = kDeadline;
  options.slow_seconds = 1;
  options.warn = [&](const std::string& text) {
    if (world.rank() == 0) std::fprintf(stderr, "warning: %s\n", text.c_str());
  };
  options.last_words = [&](ErrorKind, const std::string& text) {
    std::fprintf(stderr, "last words of rank %d: %s\n", world.rank(), text.c_str());
  };
  Watchdog watchdog(ctx, *comm, recorder, options);
  try {
    recorder.phase(Phase::train);
    comm->barrier();
    recorder.step(12);
    const bool last = world.rank() == world.world_size() - 1;
    if (fault == "deaf" && world.rank() == 0) (void)raise(SIGKILL);
    if (last) fault_of_last_rank(ctx, *comm, recorder, fault);
    std::vector<float> values(1000, 1.0f);
    if (fault == "stop" && world.rank() == 0) sleep(1);  // not everybody is waiting
    comm->all_reduce_sum(ctx, VectorView<float>{values.data(), 1000, {}});
    comm->barrier();
  } catch (const Error& error) {
    watchdog.failed(error.kind(), error.what());
    throw;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 64;
  (void)std::signal(SIGTERM, SIG_IGN);
  std::unique_ptr<World> world;
  try {
    world = World::start(kDeadline);
    work(*world, argv[1]);
  } catch (const Error& error) {
    std::fprintf(stderr, "rank %d: %s\n", world ? world->rank() : -1, error.what());
    if (world) world->abort(exit_code(error.kind()));
    return exit_code(error.kind());
  }
}
