#include "launch/run_directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "launch/checkpoint.h"
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

/// Opens the run on `ranks` threads; what rank 0 has, or the error that all ranks have.
std::string open_by(int ranks, const std::string& parent, const std::string& name,
                    RunDirectory::If accept) {
  std::string result;
  run_ranks(ranks, [&](Communicator& comm) {
    const Context ctx = Context::cpu(1);
    std::string mine;
    try {
      const RunDirectory run = RunDirectory::open(ctx, comm, parent, name, "mf", accept);
      mine = run.name() + (run.resumed() ? " resumed" : "");
      comm.barrier();  // all hold their locks
    } catch (const Error& e) {
      mine = std::string(kind_name(e.kind()));
    }
    if (comm.rank() == comm.world_size() - 1) result = mine;
  });
  return result;
}

TEST(RunDirectory, NamesAreNumberedAndCheckedAndResumed) {
  const TemporaryFolder folder;
  const std::string runs = folder / "runs";
  using If = RunDirectory::If;
  EXPECT_EQ(open_by(3, runs, "", If::absent), "mf-0001");
  EXPECT_EQ(open_by(1, runs, "", If::any), "mf-0002");
  EXPECT_EQ(open_by(2, runs, "", If::exists), "usage");
  EXPECT_EQ(open_by(2, runs, "mine", If::exists), "input missing");
  EXPECT_EQ(open_by(2, runs, "../mine", If::any), "usage");
  EXPECT_EQ(open_by(2, runs, "mine", If::absent), "mine");
  EXPECT_EQ(open_by(2, runs, "mine", If::absent), "mine");  // died before it wrote anything
  write_bytes(runs + "/mine/config.toml", "");
  EXPECT_EQ(open_by(2, runs, "mine", If::absent), "usage");
  fs::create_directory(runs + "/mine/checkpoints/tmp-step-00000001-1");
  EXPECT_EQ(open_by(4, runs, "mine", If::exists), "mine resumed");
  EXPECT_TRUE(fs::is_empty(runs + "/mine/checkpoints"));
}

TEST(RunDirectory, BestIsALinkThatCanMove) {
  const TemporaryFolder folder;
  run_ranks(1, [&](Communicator& comm) {
    const Context ctx = Context::cpu(1);
    const RunDirectory run =
        RunDirectory::open(ctx, comm, folder.path(), "r", "mf", RunDirectory::If::any);
    EXPECT_EQ(run.best(), -1);
    for (const std::int64_t step : {3, 12}) {
      fs::create_directory(run.checkpoints() + "/" + checkpoint_name(step));
      run.set_best(step);
      EXPECT_EQ(run.best(), step);
    }
    EXPECT_EQ(fs::read_symlink(run.path() + "/best"), "checkpoints/step-00000012");
    run.set_best(99);  // gone
    EXPECT_EQ(run.best(), -1);

    FlightStatus status;
    status.last.phase = Phase::load;
    run.write_error(ErrorKind::data, "a.csv:3: \"x\" is no number", status);
    const auto record = nlohmann::json::parse(read_bytes(run.path() + "/error-rank-000.json"));
    EXPECT_EQ(record["code"], 65);
    EXPECT_EQ(record["message"], "a.csv:3: \"x\" is no number");
    EXPECT_EQ(record["process"], ::getpid());
    EXPECT_EQ(record["phase"], "load");
  });
}

TEST(RunLock, ASecondRunIsToldWhoHoldsTheFolder) {
  const TemporaryFolder folder;
  const auto refused = [&](int rank) {
    const Error e = error_of([&] { RunLock(folder.path(), rank); });
    EXPECT_EQ(e.kind(), ErrorKind::permission);
    return std::string(e.what());
  };
  {
    const RunLock first(folder.path(), 0);
    const RunLock second(folder.path(), 1);
    const std::string text = refused(0);
    EXPECT_NE(
        text.find("in use by host " + host_name() + ", process " + std::to_string(::getpid())),
        std::string::npos)
        << text;
    refused(1);
    const RunLock third(folder.path(), 2);
  }
  const RunLock again(folder.path(), 0);
}

TEST(RunLock, ARankThatOutlivesItsRunKeepsTheFolder) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t orphan = ::fork();
  if (orphan == 0) {
    const RunLock lock(folder.path(), 3);
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(error_of([&] { RunLock(folder.path(), 0); }).kind(), ErrorKind::permission);
  ::kill(orphan, SIGKILL);
  ::waitpid(orphan, nullptr, 0);
  EXPECT_NO_THROW(RunLock(folder.path(), 0));
  for (const int end : ready) ::close(end);
}

TEST(Environment, FactsRoundTrip) {
  const Facts facts = host_facts();
  EXPECT_EQ(parse_facts(facts_json(facts), "env.json"), facts);
  EXPECT_EQ(error_of([] { parse_facts("[]", "env.json"); }).kind(), ErrorKind::data);
  EXPECT_EQ(error_of([] { parse_facts("{\"a\":1}", "env.json"); }).kind(), ErrorKind::data);
}

}  // namespace
}  // namespace gradmill
