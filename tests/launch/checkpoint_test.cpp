#include "launch/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "runtime/context.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/thread_communicator.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::read_bytes;
using testing::run_ranks;
using testing::TemporaryFolder;
using testing::write_bytes;

constexpr std::int64_t kCols = 3;

float value(std::int64_t row, std::int64_t col) {
  return static_cast<float>(row) + static_cast<float>(col) / 8;
}

CheckpointInfo info_of(std::int64_t step) {
  CheckpointInfo info;
  info.run_id = "run-1";
  info.kind = "mf-als";
  info.step = step;
  info.epoch = 2;
  info.sample_position = 5;
  info.seed = UINT64_MAX;
  info.config = "[model]\nnum_factors = 3 # \"ä\"\n";
  info.data_digest = "0123";
  info.metrics = {{"rmse", 0.1 + 0.2}, {"auc", NAN}};
  info.metrics_bytes = 77;
  info.versions = {{"gradmill", "0.1.0"}};
  return info;
}

/// Rank r's rows of `rows`, by simple division.
std::int64_t first_row(std::int64_t rows, int rank, int ranks) { return rows * rank / ranks; }

void write_as(Communicator& comm, const std::string& folder, std::int64_t step, std::int64_t rows) {
  const Context ctx = Context::cpu(1);
  const std::int64_t first = first_row(rows, comm.rank(), comm.world_size());
  const std::int64_t count = first_row(rows, comm.rank() + 1, comm.world_size()) - first;
  const std::int64_t stride = 4;
  std::vector<float> mine(static_cast<std::size_t>(count * stride), -7);
  for (std::int64_t r = 0; r < count; ++r) {
    for (std::int64_t c = 0; c < kCols; ++c)
      mine[static_cast<std::size_t>(r * stride + c)] = value(first + r, c);
  }
  const std::vector<double> bias{0.5, 1.5};
  CheckpointWriter writer(ctx, comm, folder, checkpoint_name(step));
  writer.add("item_factors", rows, first,
             MatrixView<const float>{mine.data(), count, kCols, stride});
  if (comm.rank() == 0) {
    writer.add("bias", 2, 0, VectorView<const double>{bias.data(), 2});
    writer.add_file("users.vocabulary", std::string("a\0b", 3));
  }
  writer.commit(info_of(step));
}

void write_by(int ranks, const std::string& folder, std::int64_t step, std::int64_t rows) {
  run_ranks(ranks,
            [&](Communicator& comm) { EXPECT_NO_THROW(write_as(comm, folder, step, rows)); });
}

void expect_contents(const Checkpoint& checkpoint, std::int64_t rows) {
  for (const int ranks : {1, 2, 3, 5}) {
    for (int rank = 0; rank < ranks; ++rank) {
      const std::int64_t first = first_row(rows, rank, ranks),
                         count = first_row(rows, rank + 1, ranks) - first;
      std::vector<float> mine(static_cast<std::size_t>(count * 5), -7);
      checkpoint.read_rows("item_factors", first, count,
                           MatrixView<float>{mine.data(), count, kCols, 5});
      for (std::int64_t r = 0; r < count; ++r) {
        for (std::int64_t c = 0; c < 5; ++c) {
          ASSERT_EQ(mine[static_cast<std::size_t>(r * 5 + c)],
                    c < kCols ? value(first + r, c) : -7);
        }
      }
    }
  }
  std::vector<double> bias(2);
  checkpoint.read_rows("bias", 0, 2, VectorView<double>{bias.data(), 2});
  EXPECT_EQ(bias, (std::vector<double>{0.5, 1.5}));
  EXPECT_EQ(checkpoint.read_file("users.vocabulary"), std::string("a\0b", 3));
}

TEST(Checkpoint, AnyWorldSizeReadsWhatAnyWrote) {
  for (const int ranks : {1, 2, 3, 4}) {
    for (const std::int64_t rows : {0, 2, 257}) {
      const TemporaryFolder folder;
      write_by(ranks, folder.path(), 12, rows);
      const Checkpoint checkpoint = Checkpoint::open(folder / "step-00000012");
      expect_contents(checkpoint, rows);
      const CheckpointInfo& info = checkpoint.info();
      const CheckpointInfo want = info_of(12);
      EXPECT_EQ(info.run_id, want.run_id);
      EXPECT_EQ(info.kind, want.kind);
      EXPECT_EQ(info.step, 12);
      EXPECT_EQ(info.epoch, 2);
      EXPECT_EQ(info.sample_position, 5);
      EXPECT_EQ(info.seed, UINT64_MAX);
      EXPECT_EQ(info.config, want.config);
      EXPECT_EQ(info.data_digest, "0123");
      EXPECT_EQ(info.metrics.at("rmse"), 0.1 + 0.2);  // to the last bit
      EXPECT_TRUE(std::isnan(info.metrics.at("auc")));
      EXPECT_EQ(info.metrics_bytes, 77);
      EXPECT_EQ(info.versions, want.versions);
    }
  }
}

TEST(Checkpoint, AskingForWhatIsNotThere) {
  const TemporaryFolder folder;
  write_by(2, folder.path(), 1, 10);
  const Checkpoint checkpoint = Checkpoint::open(folder / "step-00000001");
  std::vector<float> to(40);
  const auto kind_of = [&](const char* name, std::int64_t first, std::int64_t count,
                           std::int64_t cols) {
    return error_of([&] {
             checkpoint.read_rows(name, first, count,
                                  MatrixView<float>{to.data(), count, cols, cols});
           })
        .kind();
  };
  EXPECT_EQ(kind_of("user_factors", 0, 1, kCols), ErrorKind::checkpoint);
  EXPECT_EQ(kind_of("item_factors", 0, 1, kCols + 1), ErrorKind::checkpoint);
  EXPECT_EQ(kind_of("item_factors", 5, 6, kCols), ErrorKind::checkpoint);
  EXPECT_EQ(kind_of("item_factors", -1, 1, kCols), ErrorKind::checkpoint);
  EXPECT_EQ(kind_of("bias", 0, 1, 1), ErrorKind::checkpoint);  // of type F64
  EXPECT_FALSE(checkpoint.has("user_factors"));
  EXPECT_EQ(error_of([&] { (void)checkpoint.read_file("items.vocabulary"); }).kind(),
            ErrorKind::checkpoint);
  EXPECT_EQ(error_of([&] { Checkpoint::open(folder / "step-00000002"); }).kind(),
            ErrorKind::checkpoint);
}

/// Calls damage(path) for every file of the folder, on a copy of it, and expects that open()
/// refuses it.
void expect_refused(const std::string& sound,
                    const std::function<void(const std::string& path)>& damage) {
  for (const auto& entry : fs::directory_iterator(sound)) {
    const TemporaryFolder folder;
    fs::copy(sound, folder / "c");
    const std::string name = entry.path().filename().string();
    damage(folder / "c/" + name);
    const Error e = error_of([&] { Checkpoint::open(folder / "c"); });
    EXPECT_EQ(e.kind(), ErrorKind::checkpoint) << e.what();
    EXPECT_NE(std::string(e.what()).find(name), std::string::npos)
        << name << " is not named: " << e.what();
  }
}

TEST(Checkpoint, NoFlippedByteIsAccepted) {
  const TemporaryFolder folder;
  write_by(2, folder.path(), 1, 5);
  const std::string path = folder / "step-00000001";
  int flips = 0;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string sound = read_bytes(entry.path());
    for (std::size_t at = 0; at < sound.size(); ++at, ++flips) {
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(sound[at] ^ (1 << (at % 8))));
      file.close();
      try {
        Checkpoint::open(path);
        ADD_FAILURE() << entry.path() << " was accepted with byte " << at << " flipped";
      } catch (const Error& e) {
        ASSERT_EQ(e.kind(), ErrorKind::checkpoint) << e.what();
        ASSERT_NE(std::string(e.what()).find(entry.path().filename()), std::string::npos)
            << e.what();
      }
    }
    write_bytes(entry.path(), sound);
  }
  EXPECT_GT(flips, 1500);
  expect_contents(Checkpoint::open(path), 5);
}

TEST(Checkpoint, NoTruncatedGrownOrMissingFileIsAccepted) {
  const TemporaryFolder folder;
  write_by(3, folder.path(), 1, 50);
  const std::string sound = folder / "step-00000001";
  expect_refused(sound, [](const std::string& path) { fs::remove(path); });
  expect_refused(sound, [](const std::string& path) { write_bytes(path, read_bytes(path) + "x"); });
  expect_refused(sound,
                 [](const std::string& path) { fs::remove(path), fs::create_directory(path); });
  for (const double part : {0.0, 0.3, 0.9}) {
    expect_refused(sound, [&](const std::string& path) {
      fs::resize_file(path,
                      static_cast<std::uintmax_t>(static_cast<double>(fs::file_size(path)) * part));
    });
  }
  expect_refused(sound,
                 [](const std::string& path) { fs::resize_file(path, fs::file_size(path) - 1); });
}

TEST(Checkpoint, FilesOfAnotherStepAreRefused) {
  const TemporaryFolder folder;
  write_by(2, folder.path(), 1, 5);
  write_by(2, folder.path(), 2, 6);
  fs::copy_file(folder / "step-00000002/rank-00001.safetensors",
                folder / "step-00000001/rank-00001.safetensors",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(error_of([&] { Checkpoint::open(folder / "step-00000001"); }).kind(),
            ErrorKind::checkpoint);
}

TEST(Checkpoint, ARankThatFailsFailsAllAndNothingIsLeft) {
  const TemporaryFolder folder;
  write_by(3, folder.path(), 1, 6);
  run_ranks(3, [&](Communicator& comm) {
    const Context ctx = Context::cpu(1);
    CheckpointWriter writer(ctx, comm, folder.path(), checkpoint_name(1));
    const std::vector<float> rows(8);
    // Rank 2 says that it has the rows of rank 1.
    const std::int64_t first = comm.rank() == 0 ? 0 : 2;
    writer.add("x", 6, first, MatrixView<const float>{rows.data(), 2, 4, 4});
    const Error e = error_of([&] { writer.commit(info_of(1)); });
    EXPECT_EQ(e.kind(), ErrorKind::internal);
    EXPECT_NE(std::string(e.what()).find("2 rows from row 2 given where row 4 of 6 is next"),
              std::string::npos)
        << e.what();
  });
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
  expect_contents(Checkpoint::open(folder / "step-00000001"), 6);

  write_bytes(folder / "file", "");
  run_ranks(2, [&](Communicator& comm) {
    const Error e = error_of([&] { write_as(comm, folder / "file/below", 1, 5); });
    EXPECT_EQ(e.kind(), ErrorKind::cannot_write);
    EXPECT_EQ(std::string(e.what()).find("rank 0: "), 0U) << e.what();
  });
}

TEST(Checkpoint, CommitReplacesOneOfTheSameName) {
  const TemporaryFolder folder;
  write_by(3, folder.path(), 1, 6);
  write_by(1, folder.path(), 1, 7);
  expect_contents(Checkpoint::open(folder / "step-00000001"), 7);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(Checkpoint, FallsBackToTheNewestSoundOne) {
  const TemporaryFolder folder;
  const auto newest = [&](bool strict) {
    std::int64_t step = -1;
    run_ranks(3, [&](Communicator& comm) {
      const Context ctx = Context::cpu(1);
      Log log(1);
      const auto found = open_newest_checkpoint(ctx, comm, folder.path(), strict, log);
      if (comm.rank() == 2) step = found ? found->info().step : -1;
    });
    return step;
  };
  EXPECT_EQ(newest(true), -1);
  for (const std::int64_t step : {1, 2, 10, 100}) write_by(2, folder.path(), step, 5);
  fs::create_directory(folder / "step-x");
  fs::create_directory(folder / "step-7");
  fs::create_directory(folder / "tmp-step-00000200-1");
  write_bytes(folder / "tmp-step-00000200-1/manifest.json", "{}");
  EXPECT_EQ(newest(true), 100);

  fs::resize_file(folder / "step-00000100/rank-00001.safetensors", 20);
  fs::remove(folder / "step-00000010/manifest.json");
  EXPECT_EQ(newest(false), 2);
  run_ranks(3, [&](Communicator& comm) {
    const Context ctx = Context::cpu(1);
    Log log(1);
    const Error e = error_of([&] { open_newest_checkpoint(ctx, comm, folder.path(), true, log); });
    EXPECT_EQ(e.kind(), ErrorKind::checkpoint);
    EXPECT_NE(std::string(e.what()).find("step-00000100/rank-00001.safetensors"), std::string::npos)
        << e.what();
  });
  for (const char* step : {"1", "2"}) fs::remove(folder / "step-0000000" + step + "/manifest.json");
  run_ranks(2, [&](Communicator& comm) {
    const Context ctx = Context::cpu(1);
    Log log(1);
    EXPECT_EQ(
        error_of([&] { open_newest_checkpoint(ctx, comm, folder.path(), false, log); }).kind(),
        ErrorKind::checkpoint);
  });
}

TEST(Checkpoint, KilledAtAnyMomentTheLastCommittedOneIsThere) {
  const TemporaryFolder folder;
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  std::mt19937 rng(5);
  std::int64_t committed = 0;
  write_as(*comm, folder.path(), 0, 300);
  for (int kill = 0; kill < 30; ++kill) {
    int done[2];
    ASSERT_EQ(::pipe(done), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::int64_t step = committed + 1;; ++step) {
        write_as(*comm, folder.path(), step, 300);
        (void)!::write(done[1], &step, sizeof step);
        prune_checkpoints(folder.path(), 2, 0);
      }
    }
    ::usleep(rng() % 20'000);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(done[1]);
    while (::read(done[0], &committed, sizeof committed) == sizeof committed) {
    }
    ::close(done[0]);

    remove_leftovers(folder.path());
    Log log(1);
    const auto found = open_newest_checkpoint(ctx, *comm, folder.path(), true, log);
    ASSERT_TRUE(found.has_value());
    EXPECT_GE(found->info().step, committed);
    EXPECT_LE(found->info().step, committed + 1);  // renamed, but killed before it could say so
    expect_contents(*found, 300);
    committed = found->info().step;
    EXPECT_EQ(checkpoint_steps(folder.path()).front(), 0);  // the best one is never pruned
    // Each kill between a commit and its pruning leaves one more; the next pruning takes them all.
    prune_checkpoints(folder.path(), 2, 0);
    EXPECT_LE(std::distance(fs::directory_iterator(folder.path()), {}), 3);
    EXPECT_EQ(checkpoint_steps(folder.path()).back(), committed);
  }
}

TEST(Checkpoint, PruningKeepsTheNewestAndTheBest) {
  const TemporaryFolder folder;
  for (std::int64_t step = 1; step <= 6; ++step) write_by(1, folder.path(), step, 2);
  prune_checkpoints(folder.path(), 3, 2);
  EXPECT_EQ(checkpoint_steps(folder.path()), (std::vector<std::int64_t>{2, 4, 5, 6}));
  prune_checkpoints(folder.path(), 0, -1);
  EXPECT_EQ(checkpoint_steps(folder.path()), (std::vector<std::int64_t>{5, 6}));

  fs::create_directory(folder / "tmp-step-00000007-1");
  fs::create_directory(folder / "trash-1");
  write_bytes(folder / "trash-1/x", "x");
  remove_leftovers(folder.path());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 2);
  EXPECT_TRUE(checkpoint_steps(folder / "none").empty());
}

TEST(Checkpoint, StaysReadableWhileItIsRemovedOrRenamed) {
  const TemporaryFolder folder;
  write_by(2, folder.path(), 1, 5);
  const Checkpoint checkpoint = Checkpoint::open(folder / "step-00000001");
  fs::rename(folder / "step-00000001", folder / "moved");
  expect_contents(checkpoint, 5);
}

}  // namespace
}  // namespace gradmill
