// MLPs over ranks against one rank that has all samples.
#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/support/mlp_problem.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::MlpProblem;
using testing::Tensors;

struct Outcome {
  std::vector<double> losses;
  Tensors tensors;
};

Outcome train(Communicator& comm, const MlpConfig& config, const MlpProblem& problem,
              Samples mine) {
  const Context ctx = Context::cpu(1);
  const auto solver = make_mlp_solver(ctx, ctx, comm, config, 5, problem.shape, std::move(mine));
  Outcome outcome;
  for (int epoch = 0; epoch < 4; ++epoch) {
    solver->run_epoch(epoch);
    outcome.losses.push_back(solver->loss());
  }
  outcome.tensors = testing::tensors_of(*solver);
  return outcome;
}

/// Ranks of uneven size; of several, one has no rows at all.
std::int64_t first_row(std::int64_t rows, int rank, int ranks) {
  if (ranks == 1) return rank * rows;
  return rank == ranks ? rows : rows * rank * rank / (ranks * ranks);
}

void compare(const MlpConfig& config, const MlpProblem& problem) {
  const Context host = Context::cpu(1);
  const auto shared_comm = testing::test_world().communicator(host);
  Communicator& comm = *shared_comm;
  const std::int64_t rows = problem.samples.rows();
  const int rank = comm.rank(), ranks = comm.world_size();
  std::int64_t begin = first_row(rows, rank, ranks), end = first_row(rows, rank + 1, ranks);
  if (ranks > 2) {  // rank 0's rows go to rank 1
    if (rank == 0) end = begin;
    if (rank == 1) begin = 0;
  }
  const Outcome shared = train(comm, config, problem, problem.part(begin, end));
  const auto self = make_self_communicator();
  const Outcome alone = train(*self, config, problem, problem.samples);
  for (std::size_t e = 0; e < alone.losses.size(); ++e)
    EXPECT_NEAR(shared.losses[e], alone.losses[e], 1e-5 * alone.losses[e]) << "epoch " << e;
  for (const auto& [name, values] : alone.tensors)
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(shared.tensors.at(name)[i], values[i], 2e-4 * (1 + std::abs(values[i])))
          << name << " " << i;
}

MlpConfig config_of(const char* optimizer) {
  MlpConfig c;
  c.hidden = "12,12";
  c.activation = "silu";
  c.optimizer = optimizer;
  c.learning_rate = 0.05;
  c.momentum = 0;
  c.global_batch = 64;
  c.dropout = 0.2;
  c.wide = true;
  c.norm = "layer";
  c.epsilon = 1e-4;  // so that rounding of gradients near 0 stays small in the steps, too
  return c;
}

TEST(MlpSolverMpiTest, LossCurvesDoNotDependOnTheNumberOfRanks) {
  const MlpProblem problem({.rows = 430, .bags = true, .weights = true, .classes = 3});
  for (const char* optimizer : {"sgd", "adagrad", "adam"})
    for (const double clip : {0.0, 0.3}) {
      SCOPED_TRACE(::testing::Message() << optimizer << ", clip " << clip);
      MlpConfig config = config_of(optimizer);
      config.clip_norm = clip;
      compare(config, problem);
    }
}

TEST(MlpSolverMpiTest, NoEmbeddingsAndOneEntryAField) {
  compare(config_of("sgd"), MlpProblem({.rows = 200, .categories = {}}));
  compare(config_of("adagrad"), MlpProblem({.rows = 200}));
}

TEST(MlpSolverMpiTest, BatchNormIsOverAllRanks) {
  MlpConfig config = config_of("sgd");
  config.norm = "batch";
  config.dropout = 0;
  compare(config, MlpProblem({.rows = 300, .classes = 3}));
}

TEST(MlpSolverMpiTest, RanksHoldTheSameBits) {
  const Context host = Context::cpu(1);
  const auto shared_comm = testing::test_world().communicator(host);
  Communicator& comm = *shared_comm;
  const MlpProblem problem({.rows = 300, .bags = true, .classes = 3});
  const std::int64_t rows = 300, rank = comm.rank(), ranks = comm.world_size();
  const Outcome outcome = train(comm, config_of("adam"), problem,
                                problem.part(rows * rank / ranks, rows * (rank + 1) / ranks));
  const Context ctx = Context::cpu(1);
  for (auto [name, values] : outcome.tensors) {
    const std::vector<float> own = values;
    comm.broadcast(
        ctx, VectorView<float>{values.data(), static_cast<std::int64_t>(values.size()), {}}, 0);
    EXPECT_EQ(own, values) << name;
  }
}

TEST(MlpSolverMpiTest, AllRanksStopAtTheSameStep) {
  const Context host = Context::cpu(1);
  const auto shared_comm = testing::test_world().communicator(host);
  Communicator& comm = *shared_comm;
  MlpProblem problem({.rows = 200, .classes = 0});
  problem.samples.labels[150] = std::nanf("");  // on one rank only
  const std::int64_t rank = comm.rank(), ranks = comm.world_size();
  const auto mine = [&] { return problem.part(200 * rank / ranks, 200 * (rank + 1) / ranks); };
  MlpConfig config = config_of("adam");
  try {
    train(comm, config, problem, mine());
    ADD_FAILURE() << "a label that is no number passed";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::not_finite);
  }
  comm.barrier();
  config.on_nonfinite = "skip";
  const Outcome outcome = train(comm, config, problem, mine());
  for (const double loss : outcome.losses) EXPECT_TRUE(std::isfinite(loss));
}
}  // namespace
}  // namespace gradmill
