#include "dist/world.h"

#include <gtest/gtest.h>
#include <mpi.h>

#include "dist/gather_strings.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

TEST(World, IsTheRunningMpi) {
  const auto world = World::start(60);
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  EXPECT_EQ(world->rank(), rank);
  EXPECT_EQ(world->world_size(), size);
  EXPECT_EQ(world->local_rank(), rank);  // tests run on one host
  EXPECT_EQ(world->local_size(), size);
  EXPECT_NE(launcher().find(std::to_string(size) + " rank"), std::string::npos) << launcher();
}

TEST(World, LeavesAnMpiThatItDidNotStart) {
  { const auto world = World::start(60); }
  int finalized = 1;
  MPI_Finalized(&finalized);
  EXPECT_FALSE(finalized);
}

TEST(World, CoresOfAllRanksFitTheHost) {
  const auto world = World::start(60);
  const Context ctx = Context::cpu(1);
  const auto comm = world->communicator(ctx);
  std::int64_t cores = world->cores();
  EXPECT_GE(cores, 1);
  EXPECT_LE(cores, available_cores());
  comm->all_reduce_sum(ctx, VectorView<std::int64_t>{&cores, 1});
  EXPECT_LE(cores, std::max<long>(sysconf(_SC_NPROCESSORS_ONLN), world->world_size()));
  EXPECT_EQ(threads_per_rank(3, *world), 3);
  EXPECT_EQ(threads_per_rank(0, *world), world->cores());
}

TEST(World, CommunicatorFitsTheWorld) {
  const auto world = World::start(60);
  const Context ctx = Context::cpu(1);
  const auto comm = world->communicator(ctx);
  EXPECT_EQ(comm->name(), world->world_size() == 1 ? "self" : "mpi");
  EXPECT_EQ(comm->rank(), world->rank());
  EXPECT_EQ(comm->world_size(), world->world_size());
}

TEST(GatherStrings, KeepsOrderAndBytes) {
  const auto world = World::start(60);
  const Context ctx = Context::cpu(1);
  const auto comm = world->communicator(ctx);
  const auto text = [](int rank) {
    return std::string(static_cast<std::size_t>(rank * 7), 'a') + '\0' + "z";
  };
  const auto all = all_gather_strings(ctx, *comm, text(world->rank()));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world->world_size()));
  for (int r = 0; r < world->world_size(); ++r)
    EXPECT_EQ(all[static_cast<std::size_t>(r)], text(r));
}

}  // namespace
}  // namespace gradmill
