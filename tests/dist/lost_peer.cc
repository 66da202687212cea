// One rank of a run in which the last rank goes away: lost_peer cpu|cuda sleep|stop|throw|throw_late
// The others must end within the deadline with exit code 76 and a text that says what they waited for,
// or with the error of the rank that threw, also when its report takes a while (throw_late).
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "dist/world.h"
#include "runtime/buffer.h"
#include "runtime/error.h"

using namespace gradmill;

namespace {

void work(World& world, std::string_view device, std::string_view fault) {
  const Context ctx = device == "cuda" ? Context::cuda(world.local_rank()) : Context::cpu(1);
  const auto comm = world.communicator(ctx);
  auto values = Buffer<float>::from_host(ctx, std::vector<float>(1000, 1.0f));
  comm->all_reduce_sum(ctx, values.view());
  (void)values.to_host();
  if (world.rank() == world.world_size() - 1) {
    if (fault == "sleep") sleep(60);
    if (fault == "stop") (void)raise(SIGSTOP);
    if (fault == "throw" || fault == "throw_late")
      fail(ErrorKind::data, "ratings.csv:7: bad rating");
  }
  comm->all_reduce_sum(ctx, values.view());
  (void)values.to_host();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  constexpr double kDeadline = 2;
  std::unique_ptr<World> world;
  try {
    world = World::start(kDeadline);
    if (std::string_view(argv[1]) == "cuda" && Context::cuda_device_count() < world->local_size())
      return 77;  // CTest: skipped
    work(*world, argv[1], argv[2]);
  } catch (const Error& error) {
    if (std::string_view(argv[2]) == "throw_late" && error.kind() == ErrorKind::data)
      usleep(700000);
    std::fprintf(stderr, "rank %d: %s\n", world ? world->rank() : -1, error.what());
    if (world) world->abort(exit_code(error.kind()));
    return exit_code(error.kind());
  }
}
