// Processes instead of threads: the whole protocol over MPI, and one run in a folder at a time.
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "dist/gather_strings.h"
#include "dist/world.h"
#include "launch/checkpoint.h"
#include "launch/run_directory.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

constexpr std::int64_t kRows = 103, kCols = 4;

void write(const Context& ctx, Communicator& comm, const RunDirectory& run, std::int64_t step) {
  const std::int64_t first = kRows * comm.rank() / comm.world_size();
  const std::int64_t count = kRows * (comm.rank() + 1) / comm.world_size() - first;
  std::vector<float> mine(static_cast<std::size_t>(count * kCols));
  for (std::size_t i = 0; i < mine.size(); ++i)
    mine[i] = static_cast<float>(first * kCols) + static_cast<float>(i);
  CheckpointInfo info;
  info.step = step;
  CheckpointWriter writer(ctx, comm, run.checkpoints(), checkpoint_name(step));
  writer.add("x", kRows, first, MatrixView<const float>{mine.data(), count, kCols, kCols});
  writer.commit(info);
}

TEST(CheckpointMpi, WriteDamageAndResume) {
  const auto world = World::start(60);
  const Context ctx = Context::cpu(1);
  const auto comm = world->communicator(ctx);
  std::optional<TemporaryFolder> folder;
  const std::string parent = on_every_rank(ctx, *comm, [&] {
    if (comm->rank() == 0) folder.emplace();
    return folder ? folder->path() : std::string();
  })[0];
  {
    const RunDirectory run =
        RunDirectory::open(ctx, *comm, parent, "r", "mf", RunDirectory::If::absent);
    EXPECT_FALSE(run.resumed());
    for (const std::int64_t step : {1, 2}) write(ctx, *comm, run, step);
    if (comm->rank() == 0) {
      std::filesystem::resize_file(
          run.checkpoints() + "/" + checkpoint_name(2) + "/rank-00000.safetensors", 100);
    }
    comm->barrier();
    Log log(1);
    const auto found = open_newest_checkpoint(ctx, *comm, run.checkpoints(), false, log);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->info().step, 1);
    std::vector<float> all(kRows * kCols);
    found->read_rows("x", 0, kRows, MatrixView<float>{all.data(), kRows, kCols, kCols});
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], static_cast<float>(i));
    const Error e =
        error_of([&] { open_newest_checkpoint(ctx, *comm, run.checkpoints(), true, log); });
    EXPECT_EQ(e.kind(), ErrorKind::checkpoint);
    // Every rank holds the folder, so none gets in.
    comm->barrier();
    EXPECT_EQ(error_of([&] { RunLock(run.path(), comm->rank()); }).kind(), ErrorKind::permission);
    comm->barrier();
  }
  comm->barrier();
}

}  // namespace
}  // namespace gradmill
