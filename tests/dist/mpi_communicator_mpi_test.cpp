#include "dist/mpi_communicator.h"

#include <gtest/gtest.h>

#include "dist/world.h"
#include "runtime/error.h"
#include "tests/dist/collective_checks.h"

namespace gradmill {
namespace {
using testing::CollectiveChecks;

constexpr double kTimeout = 60;

TEST(MpiCommunicator, CollectivesMatchNaiveReference) {
  const Context ctx = Context::cpu(1);
  MpiCommunicator comm({.timeout_seconds = kTimeout});
  CollectiveChecks(ctx, comm, true).everything();
}

TEST(MpiCommunicator, SplitsLongMessages) {
  const Context ctx = Context::cpu(1);
  // 100 bytes a message: neither a multiple of 8 nor of the buffers' sizes.
  MpiCommunicator comm({.timeout_seconds = kTimeout, .message_bytes = 100});
  CollectiveChecks checks(ctx, comm, true);
  checks.all_types_of_move<double>();
  checks.all_types_of_move<std::uint8_t>();
  checks.all_types_of_sum<float>();
}

TEST(MpiCommunicator, SumsInManyRounds) {
  const Context ctx = Context::cpu(1);
  for (const std::int64_t window : {1, 64, 1000}) {
    MpiCommunicator comm({.timeout_seconds = kTimeout, .small_bytes = 0, .window_bytes = window});
    CollectiveChecks checks(ctx, comm, true);
    for (const std::int64_t size : {0, 1, 31, 33, 257}) {
      checks.all_reduce<double>(size);
      checks.reduce_scatter<float>(testing::uneven_counts(comm.world_size(), size));
    }
  }
}

TEST(MpiCommunicator, SumsHaveTheSameBitsInEveryRoundSize) {
  const Context ctx = Context::cpu(1);
  std::vector<float> want;
  for (const MpiOptions& options :
       {MpiOptions{.timeout_seconds = kTimeout, .small_bytes = 1 << 20},
        MpiOptions{.timeout_seconds = kTimeout, .small_bytes = 0},
        MpiOptions{.timeout_seconds = kTimeout, .small_bytes = 0, .window_bytes = 128}}) {
    MpiCommunicator comm(options);
    std::vector<float> values = testing::values_of<float>(comm.rank(), 1000);
    comm.all_reduce_sum(ctx, VectorView<float>{values.data(), 1000});
    if (want.empty()) want = values;
    EXPECT_EQ(values, want);
  }
}

TEST(MpiCommunicator, RefusesSizesThatDoNotFit) {
  const Context ctx = Context::cpu(1);
  MpiCommunicator comm({.timeout_seconds = kTimeout});
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.world_size()), 2);
  std::vector<float> mine(3), all(2 * counts.size());
  const VectorView<float> all_view{all.data(), static_cast<std::int64_t>(all.size())};
  const VectorView<float> mine_view{mine.data(), 3};
  try {
    comm.all_gather(ctx, mine_view, counts, all_view);
    FAIL() << "a part of 3 went where 2 were announced";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::internal);
    EXPECT_NE(std::string(error.what()).find("holds 3"), std::string::npos) << error.what();
  }
  EXPECT_THROW(comm.all_gather(ctx, mine_view.slice(0, 2), counts, all_view.slice(0, 1)), Error);
  EXPECT_THROW(comm.all_gather(ctx, mine_view.slice(0, 2), std::vector<std::int64_t>{}, all_view),
               Error);
  EXPECT_THROW(comm.broadcast(ctx, mine_view, comm.world_size()), Error);
  comm.barrier();  // still usable: nothing had been sent
}

TEST(MpiCommunicator, SilentPeerIsNamedWithinTheDeadline) {
  const Context ctx = Context::cpu(1);
  MpiCommunicator comm({.timeout_seconds = kTimeout});
  if (comm.world_size() == 1) GTEST_SKIP() << "needs two ranks";
  {
    MpiCommunicator impatient({.timeout_seconds = 0.2});
    const int silent = comm.world_size() - 1;
    if (comm.rank() != silent) {
      std::vector<double> values(1000, 1.0);
      const VectorView<double> view{values.data(), 1000};
      const auto start = std::chrono::steady_clock::now();
      try {
        impatient.all_reduce_sum(ctx, view);
        FAIL() << "a sum without rank " << silent;
      } catch (const Error& error) {
        const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
        EXPECT_EQ(error.kind(), ErrorKind::peer_lost);
        EXPECT_LT(waited.count(), 20);
        const std::string text = error.what();
        EXPECT_NE(text.find("all_reduce_sum #1 (8000 bytes)"), std::string::npos) << text;
        EXPECT_NE(text.find("rank " + std::to_string(silent)), std::string::npos) << text;
        EXPECT_NE(text.find("0.2 s"), std::string::npos) << text;
      }
      EXPECT_THROW(impatient.broadcast(ctx, view, 0), Error);  // broken for good, at once
    }
  }
  comm.barrier();
}

}  // namespace
}  // namespace gradmill
