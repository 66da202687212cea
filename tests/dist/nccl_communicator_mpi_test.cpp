// NCCL: one device a rank. On hosts with fewer devices than ranks these tests skip on every rank.
#include <gtest/gtest.h>

#include <cstdlib>

#include "dist/world.h"
#include "runtime/error.h"
#include "tests/dist/collective_checks.h"

namespace gradmill {
namespace {

#define GRADMILL_RANK_CONTEXT(world, gpu)                                                         \
  const auto world = World::start(60);                                                            \
  if (Context::cuda_device_count() < world->local_size()) {                                       \
    if (std::getenv("GRADMILL_REQUIRE_CUDA")) FAIL() << "fewer CUDA devices than ranks";          \
    GTEST_SKIP() << Context::cuda_device_count() << " CUDA device(s) for " << world->local_size() \
                 << " rank(s)";                                                                   \
  }                                                                                               \
  const Context gpu = Context::cuda(world->local_rank());

TEST(NcclCommunicator, CudaCollectivesMatchNaiveReference) {
  GRADMILL_RANK_CONTEXT(world, gpu);
  const auto comm = world->communicator(gpu);
  EXPECT_EQ(comm->name(), world->world_size() == 1 ? "self" : "nccl");
  testing::CollectiveChecks(gpu, *comm, false).everything();
}

TEST(NcclCommunicator, CudaHostMemoryGoesThroughMpi) {
  GRADMILL_RANK_CONTEXT(world, gpu);
  const auto comm = world->communicator(gpu);
  std::vector<double> values = testing::values_of<double>(comm->rank(), 257);
  comm->all_reduce_sum(gpu, VectorView<double>{values.data(), 257});
  for (std::int64_t i = 0; i < 257; ++i)
    ASSERT_EQ(values[static_cast<std::size_t>(i)],
              testing::sum_in_rank_order<double>(comm->world_size(), i));
}

TEST(NcclCommunicator, CudaCollectivesKeepTheStreamsOrder) {
  GRADMILL_RANK_CONTEXT(world, gpu);
  const auto comm = world->communicator(gpu);
  const std::int64_t count = 10'000, ranks = comm->world_size();
  Buffer<std::int64_t> values(gpu, count), results(gpu, count);
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(count), 1);
  std::int64_t want = 1;
  values.upload(ones);
  for (int step = 0; step < 5; ++step) {  // nothing waits in between
    comm->all_reduce_sum(gpu, values.view());
    copy<std::int64_t>(gpu, results.view(), values.view());
    values.zero();
    copy<std::int64_t>(gpu, values.view(), results.view());
    want *= ranks;
  }
  values.zero();
  EXPECT_EQ(results.to_host(), std::vector<std::int64_t>(static_cast<std::size_t>(count), want));
}

TEST(NcclCommunicator, CudaCommunicatorsComeAndGo) {
  GRADMILL_RANK_CONTEXT(world, gpu);
  for (int round = 0; round < 3; ++round) {
    const auto comm = world->communicator(gpu);
    auto value = Buffer<float>::from_host(gpu, std::vector<float>{1});
    comm->all_reduce_sum(gpu, value.view());
    EXPECT_EQ(value.to_host()[0], static_cast<float>(world->world_size()));
  }
}

TEST(NcclCommunicator, CudaRefusesAnotherContext) {
  GRADMILL_RANK_CONTEXT(world, gpu);
  if (world->world_size() == 1) GTEST_SKIP() << "needs two ranks";
  const auto comm = world->communicator(gpu);
  const Context cpu = Context::cpu(1);
  Buffer<float> value(gpu, 1);
  EXPECT_THROW(comm->all_reduce_sum(cpu, value.view()), Error);
}

}  // namespace
}  // namespace gradmill
