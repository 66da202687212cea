// The linear solvers over ranks against one rank that has all samples.
#include <gtest/gtest.h>

#include "models/linear/solver.h"
#include "tests/support/linear_problem.h"
#include "tests/support/sample_parts.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::linear_problem;
using testing::parameters_of;
using testing::part_of;
using testing::test_world;

/// Two rows of one class have their minimum at an infinite intercept, where the loss is nothing.
constexpr double kNothing = 1e-2;

struct Outcome {
  double loss;
  std::vector<float> parameters;
};
Outcome train(const Context& ctx, Communicator& comm, const LinearConfig& config, int classes,
              Samples mine, int epochs) {
  const Context host = Context::cpu(1);
  const LinearShape shape = linear_shape(config, mine.num_features, classes);
  const auto solver = make_linear_solver(ctx, host, comm, config, 3, shape, std::move(mine));
  for (int epoch = 0; epoch < epochs; ++epoch)
    if (!solver->run_epoch(epoch)) break;
  return {solver->loss(), parameters_of(ctx, *solver)};
}

void compare(const Context& ctx, const LinearConfig& config, int classes, const Samples& all,
             double tolerance, int epochs) {
  const auto comm = test_world().communicator(ctx);
  const auto self = make_self_communicator();
  const int rank = comm->rank(), ranks = comm->world_size();
  const auto parted = [&](auto&& keep) { return part_of(all, keep); };
  const Context host = Context::cpu(1);
  const Outcome alone = train(host, *self, config, classes, all, epochs);
  const Samples shards[] = {
      parted([&](std::int64_t r) { return r % ranks == rank; }),
      parted([&](std::int64_t r) {  // the last rank has nothing, if there are several
        return ranks == 1 || (rank < ranks - 1 && r % (ranks - 1) == rank);
      }),
      parted([&](std::int64_t r) {  // shards of one class
        return static_cast<int>(all.labels[static_cast<std::size_t>(r)]) % ranks == rank;
      })};
  for (const Samples& mine : shards) {
    const Outcome once = train(ctx, *comm, config, classes, mine, epochs);
    const Outcome again = train(ctx, *comm, config, classes, mine, epochs);
    EXPECT_NEAR(once.loss, alone.loss, tolerance * (alone.loss + kNothing)) << config.optimizer;
    EXPECT_EQ(once.parameters, again.parameters);
    std::vector<float> first = once.parameters;  // the same on every rank
    comm->broadcast(
        ctx, VectorView<float>{first.data(), static_cast<std::int64_t>(first.size()), {}}, 0);
    EXPECT_EQ(once.parameters, first);
  }
}

TEST(LinearSolverMpi, FullBatchFindsTheSameMinimumOnAnyNumberOfRanks) {
  const Context ctx = Context::cpu(1);
  for (const char* optimizer : {"lbfgs", "newton_cg", "owlqn"}) {
    LinearConfig config;
    config.optimizer = optimizer;
    config.l2 = 1e-3;
    config.l1 = std::string(optimizer) == "owlqn" ? 1e-3 : 0;
    config = with_defaults(config);
    compare(ctx, config, 2, linear_problem(400, 30, 2, 4, true), 1e-6, 100);
    compare(ctx, config, 3, linear_problem(300, 20, 3, 4), 1e-6, 100);
    compare(ctx, config, 2, linear_problem(2, 5, 2, 4), 1e-4, 100);  // more ranks than rows
  }
}

TEST(LinearSolverMpi, MiniBatchesTakeTheSameWay) {
  const Context ctx = Context::cpu(1);
  for (const char* optimizer : {"sgd", "adagrad", "ftrl"}) {
    for (const char* exchange : {"auto", "dense"}) {
      LinearConfig config;
      config.optimizer = optimizer;
      config.exchange = exchange;
      config.global_batch = 1 << 20;  // one batch: its sums do not depend on who has which row
      config = with_defaults(config);
      compare(ctx, config, 2, linear_problem(400, 60, 2, 4, true), 1e-5, 5);
      config.global_batch = 50;
      compare(ctx, config, 3, linear_problem(1500, 20, 3, 4), 0.1, 5);
      compare(ctx, config, 2, linear_problem(2, 5, 2, 4), 0.5, 3);
    }
  }
}

}  // namespace
}  // namespace gradmill
