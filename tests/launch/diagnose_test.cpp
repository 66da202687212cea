#include "launch/diagnose.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "launch/environment.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::TemporaryFolder;

/// A run whose ranks are played by this test.
class PlayedRun {
 public:
  explicit PlayedRun(int ranks) : ranks_(ranks) {
    std::filesystem::create_directory(folder_ / "flight");
  }
  std::string path() const { return folder_.path(); }
  std::unique_ptr<FlightRecorder> rank(int rank, int process,
                                       const std::string& host = host_name()) {
    FlightOrigin origin;
    origin.rank = rank;
    origin.world_size = ranks_;
    origin.process = process;
    origin.generation = 2;
    std::strncpy(origin.host, host.c_str(), sizeof origin.host - 1);
    auto recorder = std::make_unique<FlightRecorder>(origin);
    recorder->save_to(folder_ / ("flight/rank-00" + std::to_string(rank) + ".bin"));
    recorder->phase(Phase::train);
    recorder->step(3);
    return recorder;
  }
  void error(int rank, int code, const std::string& message) {
    folder_.write("error-rank-00" + std::to_string(rank) + ".json",
                  nlohmann::json{{"code", code}, {"kind", "k"}, {"message", message}}.dump());
  }

 private:
  int ranks_;
  TemporaryFolder folder_;
};

void pass(FlightRecorder& recorder, std::int64_t from, std::int64_t to) {
  for (std::int64_t n = from; n <= to; ++n) {
    recorder.enter({Collective::all_gather, n, 8, Device{}});
    recorder.leave();
  }
}

bool found(const Diagnosis& diagnosis, const std::string& text) {
  for (const std::string& finding : diagnosis.findings)
    if (finding.find(text) != finding.npos) return true;
  return false;
}

TEST(Diagnose, NamesWhoVanishedAndWhoWaits) {
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  PlayedRun run(4);
  for (int rank = 0; rank < 3; ++rank) {
    const auto recorder = run.rank(rank, ::getpid());
    pass(*recorder, 1, 41);
    recorder->enter({Collective::all_reduce_sum, 42, 4096, Device{}});
  }
  pass(*run.rank(3, dead), 1, 41);
  const Diagnosis diagnosis = diagnose(run.path());
  EXPECT_EQ(diagnosis.generation, 2);
  ASSERT_EQ(diagnosis.ranks.size(), 4u);
  EXPECT_EQ(diagnosis.ranks[3].state, RankReport::State::vanished);
  EXPECT_EQ(diagnosis.ranks[0].state, RankReport::State::running);
  EXPECT_TRUE(found(diagnosis, "rank 3 (host " + host_name() + ", process " + std::to_string(dead) +
                                   ") ended without a word"));
  EXPECT_TRUE(found(diagnosis, "is behind the others: phase train, step 3, after all_gather #41"));
  EXPECT_TRUE(found(diagnosis, "ranks 0, 1, 2 wait in all_reduce_sum #42 (4096 bytes, cpu)"));
  const auto json = nlohmann::json::parse(diagnosis_json(diagnosis));
  EXPECT_EQ(json["ranks"][3]["state"], "vanished");
  EXPECT_EQ(json["ranks"][1]["sequence"], 42);
  EXPECT_EQ(json["ranks"][1]["in_collective"], true);
  EXPECT_NE(diagnosis_text(diagnosis).find("rank 3"), std::string::npos);
}

TEST(Diagnose, TellsAStoppedProcess) {
  const pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  (void)::kill(child, SIGSTOP);
  int status = 0;
  ::waitpid(child, &status, WUNTRACED);
  PlayedRun run(1);
  pass(*run.rank(0, child), 1, 1);
  const Diagnosis diagnosis = diagnose(run.path());
  (void)::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(diagnosis.ranks[0].state, RankReport::State::stopped);
  EXPECT_TRUE(found(diagnosis, "is stopped"));
}

TEST(Diagnose, TheCauseComesBeforeThoseWhoLostAPeer) {
  PlayedRun run(3);
  for (int rank = 0; rank < 3; ++rank) {
    const auto recorder = run.rank(rank, ::getpid());
    pass(*recorder, 1, 5);
    recorder->end(FlightOrigin::End::failed, rank == 1 ? 65 : 76);
    run.error(rank, rank == 1 ? 65 : 76, rank == 1 ? "a.csv:3: bad" : "no answer");
  }
  const Diagnosis diagnosis = diagnose(run.path());
  ASSERT_GE(diagnosis.findings.size(), 2u);
  EXPECT_NE(diagnosis.findings[0].find("failed with 65 (k): a.csv:3: bad"), std::string::npos);
  EXPECT_NE(diagnosis.findings[1].find("gave up: no answer"), std::string::npos);
}

TEST(Diagnose, FindsDifferentCallsAndAbsentRanks) {
  PlayedRun run(3);
  const auto zero = run.rank(0, 1, "other-host"), one = run.rank(1, 1, "other-host");
  pass(*zero, 1, 9);
  pass(*one, 1, 9);
  zero->enter({Collective::all_reduce_sum, 10, 80, Device{}});
  one->enter({Collective::broadcast, 10, 16, Device{}});
  const Diagnosis diagnosis = diagnose(run.path());
  EXPECT_EQ(diagnosis.ranks[0].state, RankReport::State::unknown);
  EXPECT_EQ(diagnosis.ranks[2].state, RankReport::State::absent);
  EXPECT_TRUE(found(diagnosis,
                    "rank 0 made all_reduce_sum #10 (80 bytes, cpu), rank 1 made broadcast #10 (16 "
                    "bytes, cpu)"));
  EXPECT_TRUE(found(diagnosis, "rank 2 has no record"));
}

TEST(Diagnose, ADoneRunHasNoFindings) {
  PlayedRun run(1);
  const auto recorder = run.rank(0, ::getpid());
  pass(*recorder, 1, 5);
  recorder->end(FlightOrigin::End::done, 0);
  EXPECT_TRUE(diagnose(run.path()).findings.empty());
  EXPECT_EQ(testing::error_of([] { diagnose("/no/such/run"); }).kind(), ErrorKind::input_missing);
}

}  // namespace
}  // namespace gradmill
