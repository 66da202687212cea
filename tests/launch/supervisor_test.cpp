// The supervisor with a stand-in for mpirun, which fails as told.
#include "launch/supervisor.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>

#include "launch/run_lock.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

std::string text(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : " ") + word;
  return all;
}

TEST(StartCommand, OneProcessNeedsNoLauncher) {
  EXPECT_EQ(text(start_command({}, "/g", {}, {}, false)), "/g");
}

TEST(StartCommand, Hosts) {
  LaunchOptions options;
  options.nproc_per_node = 4;
  const std::string words = text(start_command(options, "/g", {"a", "b", "c"}, {}, false));
  EXPECT_NE(words.find("mpirun -n 12"), std::string::npos) << words;
  EXPECT_NE(words.find("--host a:4,b:4,c:4 /g"), std::string::npos) << words;
  options.nnodes = 2;
  EXPECT_NE(text(start_command(options, "/g", {"a", "b", "c"}, {}, false)).find("-n 8"),
            std::string::npos);
  options.nproc = 3;
  EXPECT_NE(text(start_command(options, "/g", {"a", "b"}, {}, false)).find("--host a:2,b:2"),
            std::string::npos);
}

TEST(StartCommand, Slurm) {
  LaunchOptions options;
  options.nproc = 8;
  EXPECT_EQ(text(start_command(options, "/g", {}, {"n7"}, true)),
            "srun --mpi=pmix --kill-on-bad-exit=1 --ntasks=8 --exclude=n7 /g");
}

TEST(HostList, NamesAndSlots) {
  const TemporaryFolder folder;
  LaunchOptions options;
  options.hostfile = folder.write("hosts", "# cluster\na slots=4\n\nb\n");
  EXPECT_EQ(host_list(options), (std::vector<std::string>{"a", "b"}));
  options.nnodes = 3;
  EXPECT_EQ(error_of([&] { host_list(options); }).kind(), ErrorKind::usage);
}

class SupervisedRun : public ::testing::Test {
 protected:
  /// The stand-in writes its arguments to calls, and then does `body` ($n: which call this is).
  int supervise_with(const std::string& body, std::vector<std::string> more = {}) {
    options_.mpirun = folder_.write(
        "mpirun", "#!/bin/sh\nprintf '%s\\n' \"$*\" >> " + folder_.path() + "/calls\nn=$(wc -l < " +
                      folder_.path() + "/calls)\nrun=" + folder_.path() +
                      "/r/x\nmkdir -p $run/checkpoints\n" + body);
    ::chmod(options_.mpirun.c_str(), 0755);
    options_.nproc = 2;
    options_.command = {"train", "mf", "--data", "a.csv", "--dir", folder_ / "r", "--name", "x"};
    options_.command.insert(options_.command.end(), more.begin(), more.end());
    Log log(1);
    return supervise(options_, log);
  }
  std::string calls() const { return testing::read_bytes(folder_ / "calls"); }
  int count() const {
    const std::string all = calls();
    return static_cast<int>(std::count(all.begin(), all.end(), '\n'));
  }
  TemporaryFolder folder_;
  LaunchOptions options_;
};

TEST_F(SupervisedRun, RestartsFromItsCheckpoint) {
  EXPECT_EQ(supervise_with("mkdir -p $run/checkpoints/step-0000000$n\n"
                           "[ $n -eq 3 ] && exit 0\n[ $n -eq 1 ] && kill -9 $$\nexit 76\n"),
            0);
  EXPECT_EQ(count(), 3);
  const std::string all = calls();
  EXPECT_EQ(all.substr(0, all.find('\n')).find("run.resume"), std::string::npos);
  EXPECT_NE(all.substr(all.find('\n')).find("--set run.name=x --set run.resume=auto"),
            std::string::npos);
}

TEST_F(SupervisedRun, StopsWithoutProgressAndOnWhatCannotPass) {
  options_.max_restarts = 1;
  EXPECT_EQ(supervise_with("exit 76\n"), 82);
  EXPECT_EQ(count(), 2);
  EXPECT_EQ(supervise_with("exit 65\n"), 65);
  EXPECT_EQ(count(), 3);
}

TEST_F(SupervisedRun, ASignalBecomesTheNoticeToTheRanks) {
  // The stand-in asks its parent to stop, and says what it is sent then.
  EXPECT_EQ(supervise_with("trap 'exit 75' USR1\ntrap 'exit 1' TERM\nkill -TERM $PPID\n"
                           "while :; do sleep 0.05; done\n"),
            75);
  EXPECT_EQ(count(), 1);
}

TEST_F(SupervisedRun, ARunThatDoesNotStopIsKilled) {
  options_.grace_s = 0.2;
  EXPECT_EQ(supervise_with("trap '' USR1\nkill -INT $PPID\nwhile :; do sleep 0.05; done\n"), 76);
}

TEST_F(SupervisedRun, WaitsForARankOfAnotherHostThatStillHoldsTheFolder) {
  const std::string run = folder_ / "r/x";
  std::filesystem::create_directories(run);
  std::optional<RunLock> elsewhere(std::in_place, run, 3);
  std::thread other([&] {
    while (count() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    folder_.write("released", "");
    elsewhere.reset();
  });
  EXPECT_EQ(supervise_with("[ $n -eq 1 ] && exit 76\n[ -e " + folder_.path() + "/released ]\n"), 0);
  other.join();
  EXPECT_EQ(count(), 2);
}

TEST_F(SupervisedRun, OnlyTraining) {
  LaunchOptions options;
  options.command = {"evaluate", "x"};
  Log log(1);
  EXPECT_EQ(error_of([&] { supervise(options, log); }).kind(), ErrorKind::usage);
}

TEST(RunLock, GenerationsFenceOffOlderStarts) {
  const TemporaryFolder folder;
  {
    const RunLock lock(folder.path(), 0);
    const RunLock other(folder.path(), 1);
    EXPECT_EQ(lock.generation(), 1);
    EXPECT_EQ(other.generation(), 1);
    EXPECT_NO_THROW(lock.check_current());
    EXPECT_TRUE(RunLock::is_held(folder.path()));
    // A file system without locks would let the next start in: it writes the file anew.
    folder.write("run.lock", "host b, process 1, started now, generation 2\n");
    const Error error = error_of([&] { lock.check_current(); });
    EXPECT_EQ(error.kind(), ErrorKind::permission);
    EXPECT_NE(std::string(error.what()).find("host b"), std::string::npos) << error.what();
    std::filesystem::remove(folder / "run.lock");
    EXPECT_EQ(error_of([&] { lock.check_current(); }).kind(), ErrorKind::permission);
  }
  EXPECT_FALSE(RunLock::is_held(folder.path()));
  folder.write("run.lock", "host b, process 1, started now, generation 7\n");
  EXPECT_EQ(RunLock(folder.path(), 0).generation(), 8);
}

}  // namespace
}  // namespace gradmill
