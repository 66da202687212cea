// The solvers over ranks against one rank that has all ratings.
#include <gtest/gtest.h>

#include <cmath>

#include "dist/world.h"
#include "models/mf/evaluate.h"
#include "tests/support/mf_problem.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::mf_problem;
using testing::MfProblem;
using testing::share_of;

constexpr double kSums =
    1e-9;  // sums over ranks are in another order than sums over one rank's rows

World& world() { return testing::test_world(); }

struct Outcome {
  double loss = 0;
  RatingMetrics rating;
  RankingMetrics ranking;
  std::vector<float> items;  // item factors, in the caller's order
};

Outcome train(const Context& ctx, const Context& host, Communicator& comm, const MfConfig& config,
              const MfProblem& problem, Ratings mine, const Ratings& held) {
  const auto solver = make_mf_solver(ctx, host, comm, config, 7, problem.size, std::move(mine));
  const HeldOut held_out(ctx, host, comm, solver->user_boundaries(), to_solver_rows(*solver, held));
  for (int epoch = 0; epoch < 3; ++epoch) solver->run_epoch(epoch);
  const FactorsView factors = solver->factors();
  Outcome outcome{solver->loss(),
                  held_out.rating_metrics(factors, 0, 10),
                  held_out.ranking_metrics(factors, solver->seen().view, 5),
                  {}};
  std::vector<float> rows(static_cast<std::size_t>(factors.items.rows * factors.items.stride));
  copy_bytes(ctx, rows.data(), Device{}, factors.items.data, factors.items.device,
             rows.size() * sizeof(float));
  ctx.synchronize();
  outcome.items.resize(static_cast<std::size_t>(factors.items.rows * factors.items.cols));
  const auto order = solver->item_order();
  for (std::int64_t row = 0; row < factors.items.rows; ++row) {
    const std::int64_t id = order.empty() ? row : order[static_cast<std::size_t>(row)];
    std::copy_n(rows.begin() + row * factors.items.stride, factors.items.cols,
                outcome.items.begin() + id * factors.items.cols);
  }
  return outcome;
}

/// Splits by a fixed rule; every rank passes all held-out ratings of its own share.
void compare(const Context& ctx, const MfConfig& config, const MfProblem& problem,
             double tolerance) {
  const Context host = Context::cpu(1);
  Ratings all, held;
  for (std::size_t e = 0; e < problem.ratings.users.size(); ++e) {
    Ratings& to = e % 7 == 3 ? held : all;
    to.users.push_back(problem.ratings.users[e]);
    to.items.push_back(problem.ratings.items[e]);
    to.values.push_back(problem.ratings.values[e]);
  }
  const auto comm = world().communicator(ctx);
  const auto self = make_self_communicator();
  const int rank = comm->rank(), ranks = comm->world_size();
  const Outcome together = train(ctx, host, *comm, config, problem, share_of(all, rank, ranks),
                                 share_of(held, rank, ranks));
  const Outcome alone = train(host, host, *self, config, problem, all, held);
  EXPECT_TRUE(std::isfinite(alone.loss));
  EXPECT_NEAR(together.loss, alone.loss, tolerance * std::abs(alone.loss) + kSums);
  EXPECT_EQ(together.rating.ratings, alone.rating.ratings);
  EXPECT_NEAR(together.rating.rmse, alone.rating.rmse, tolerance + kSums);
  EXPECT_NEAR(together.rating.mae, alone.rating.mae, tolerance + kSums);
  EXPECT_EQ(together.ranking.users, alone.ranking.users);
  EXPECT_NEAR(together.ranking.ndcg, alone.ranking.ndcg,
              100 * tolerance + kSums);  // rounding may swap two items
  double worst = 0;
  for (std::size_t i = 0; i < alone.items.size(); ++i)
    worst = std::max(worst, static_cast<double>(std::abs(together.items[i] - alone.items[i])));
  EXPECT_LE(worst, 100 * tolerance);
}

MfConfig config_of(const char* algorithm, const char* solver, const char* exchange) {
  MfConfig config;
  config.algorithm = algorithm;
  config.solver = solver;
  config.exchange = exchange;
  config.num_factors = 9;
  return config;
}

void compare_all(const Context& ctx) {
  // Steps that have not converged carry a device's rounding on.
  const double steps = ctx.is_cuda() ? 1e-4 : 1e-5;
  const MfProblem problem = mf_problem(90, 41, 0.35, 5);
  compare(ctx, config_of("als", "auto", "gather"), problem, 1e-5);
  compare(ctx, config_of("als", "auto", "reduce"), problem, 1e-5);
  compare(ctx, config_of("als", "cg", "gather"), problem, steps);
  for (const bool reduce : {true, false}) {
    MfConfig plain = config_of("als", reduce ? "cholesky" : "cg", reduce ? "reduce" : "gather");
    plain.biases = false;
    plain.ridge_exponent = 0;
    compare(ctx, plain, problem, reduce ? 1e-5 : steps);
  }
  compare(ctx, config_of("ials", "cholesky", "gather"), problem, 1e-5);
  compare(ctx, config_of("ials", "cholesky", "reduce"), problem, 1e-5);
  compare(ctx, config_of("ials", "cg", "gather"), problem, 1e-5);
}

TEST(MfSolverMpi, AlsGivesTheSameModelOnAnyNumberOfRanks) { compare_all(Context::cpu(1)); }

TEST(MfSolverMpi, SgdGivesTheSameBitsOnAnyNumberOfRanks) {
  const MfProblem problem = mf_problem(900, 700, 0.12, 6);  // several blocks a side
  compare(Context::cpu(2), config_of("sgd", "auto", "auto"), problem, 0);
}

TEST(MfSolverMpi, MoreRanksThanRows) {
  const MfProblem problem = mf_problem(3, 2, 0.9, 7);
  compare(Context::cpu(1), config_of("als", "auto", "gather"), problem, 1e-5);
  compare(Context::cpu(1), config_of("als", "cg", "gather"), problem, 1e-5);
  compare(Context::cpu(1), config_of("als", "auto", "reduce"), problem, 1e-5);
  compare(Context::cpu(1), config_of("sgd", "auto", "auto"), problem, 0);
}

TEST(MfSolverMpi, CudaGivesTheModelOfTheCpu) {
  if (Context::cuda_device_count() <= world().local_rank()) {
    if (std::getenv("GRADMILL_REQUIRE_CUDA"))
      FAIL() << "no CUDA device for local rank " << world().local_rank();
    GTEST_SKIP() << "no CUDA device for local rank " << world().local_rank();
  }
  const Context gpu = Context::cuda(world().local_rank());
  compare_all(gpu);
  compare(gpu, config_of("sgd", "auto", "auto"), mf_problem(300, 200, 0.2, 6), 1e-4);
}

}  // namespace
}  // namespace gradmill
