#include <gtest/gtest.h>

#include "dist/world.h"
#include "runtime/error.h"
#include "tests/dist/collective_checks.h"
#include "tests/support/devices.h"

namespace gradmill {
namespace {

TEST(SelfCommunicator, EveryCollectiveIsTheIdentity) {
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  testing::CollectiveChecks(ctx, *comm, true).everything();
}

TEST(SelfCommunicator, CudaEveryCollectiveIsTheIdentity) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const auto& gpu : gpus) {
    const auto comm = make_self_communicator();
    testing::CollectiveChecks(*gpu, *comm, true).everything();
  }
}

TEST(SelfCommunicator, RefusesOtherRanks) {
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  float value = 1;
  EXPECT_THROW(comm->broadcast(ctx, VectorView<float>{&value, 1}, 1), Error);
  EXPECT_THROW(comm->all_to_all(ctx, VectorView<float>{&value, 1}, std::vector<std::int64_t>{1},
                                VectorView<float>{&value, 0}, std::vector<std::int64_t>{0}),
               Error);
}

TEST(World, WithoutALauncherIsThisProcessAlone) {
  if (launcher() != "none") GTEST_SKIP() << "started by " << launcher();
  const auto world = World::start(1);
  EXPECT_EQ(world->world_size(), 1);
  EXPECT_EQ(world->rank(), 0);
  EXPECT_EQ(world->local_size(), 1);
  EXPECT_GE(world->cores(), 1);
  const Context ctx = Context::cpu(1);
  EXPECT_EQ(world->communicator(ctx)->name(), "self");
}

}  // namespace
}  // namespace gradmill
