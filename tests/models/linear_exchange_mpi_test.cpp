// Mini-batch gradients between ranks: every way to exchange them gives the same model.
#include <gtest/gtest.h>

#include "models/linear/exchange_plan.h"
#include "models/linear/solver.h"
#include "runtime/error.h"
#include "tests/support/linear_problem.h"
#include "tests/support/sample_parts.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::linear_problem;
using testing::parameters_of;
using testing::part_of;
using testing::random_samples;
using testing::test_world;

struct Outcome {
  double loss = 0;
  std::vector<float> parameters;
  std::string text;
};
Outcome train(const Context& ctx, const LinearConfig& config, int classes, Samples mine,
              int epochs = 2) {
  const auto comm = test_world().communicator(ctx);
  const Context host = Context::cpu(1);
  const LinearShape shape = linear_shape(config, mine.num_features, classes);
  const auto solver = make_linear_solver(ctx, host, *comm, config, 3, shape, std::move(mine));
  for (int epoch = 0; epoch < epochs; ++epoch) solver->run_epoch(epoch);
  return {solver->loss(), parameters_of(ctx, *solver), solver->describe()};
}

LinearConfig config_of(const char* optimizer, bool intercept = true, bool average = false) {
  LinearConfig config;
  config.optimizer = optimizer;
  config.intercept = intercept;
  config.average = average;
  config.l2 = 1e-3;
  config.l1 = std::string(optimizer) == "ftrl" || std::string(optimizer) == "sgd" ? 1e-3 : 0;
  config.momentum = std::string(optimizer) == "sgd" && average ? 0.5 : 0;
  config.global_batch = 100;
  config.learning_rate = 0.05;
  return with_defaults(config);
}

Samples share_of(const Samples& all) {
  return part_of(
      all, [](std::int64_t r) { return r % test_world().world_size() == test_world().rank(); });
}

/// Most rows of the first rank, none of the last.
Samples uneven_share_of(const Samples& all) {
  const int ranks = test_world().world_size(), rank = test_world().rank();
  return part_of(all, [&](std::int64_t r) {
    if (ranks == 1) return true;
    const int owner = r % 3 ? 0 : static_cast<int>(r / 3 % (ranks - 1));
    return owner == rank;
  });
}

struct Problem {
  int classes;
  Samples all;
};
std::vector<Problem> problems() {
  return {{2, linear_problem(300, 60, 2, 4, true)},
          {3, linear_problem(200, 40, 3, 4)},
          {2, linear_problem(200, 12, 2, 4)},  // dense rows
          {2, linear_problem(3, 5, 2, 4)}};    // fewer rows than ranks
}

void expect_same_on_every_exchange(const Context& ctx, double tolerance) {
  for (const char* optimizer : {"sgd", "adagrad", "adam", "ftrl"})
    for (const bool uneven : {false, true})
      for (const Problem& problem : problems()) {
        LinearConfig config = config_of(optimizer, problem.classes == 2, /*average=*/uneven);
        const Samples mine = uneven ? uneven_share_of(problem.all) : share_of(problem.all);
        Outcome want;
        // "dense" updates all columns in each step: another way, which begins the list.
        for (const char* exchange : {"dense", "touched", "sparse", "sharded", "auto"}) {
          SCOPED_TRACE(std::string(optimizer) + ", " + exchange + ", " +
                       std::to_string(problem.all.rows()) + " rows");
          config.exchange = exchange;
          if (config.exchange == "dense" || config.exchange == "touched")
            want = train(Context::cpu(1), config, problem.classes, mine);
          const Outcome got = train(ctx, config, problem.classes, mine);
          ASSERT_EQ(got.parameters.size(), want.parameters.size());
          for (std::size_t i = 0; i < want.parameters.size(); ++i)
            ASSERT_NEAR(got.parameters[i], want.parameters[i], tolerance) << "parameter " << i;
          ASSERT_NEAR(got.loss, want.loss, tolerance * (1 + std::abs(want.loss)));
        }
      }
}

TEST(LinearExchangeMpi, EveryExchangeGivesTheSameBits) {
  expect_same_on_every_exchange(Context::cpu(1), 0);
}

/// Each rank with a device of its own.
class LinearExchangeGpuMpi : public ::testing::Test {
 protected:
  void SetUp() override {
    const int ordinal = test_world().local_rank();
    if (Context::cuda_device_count() > ordinal) {
      gpu = std::unique_ptr<Context>(new Context(Context::cuda(ordinal)));
      return;
    }
    if (std::getenv("GRADMILL_REQUIRE_CUDA")) FAIL() << "no CUDA device for local rank " << ordinal;
    GTEST_SKIP() << "no CUDA device for local rank " << ordinal;
  }
  std::unique_ptr<Context> gpu;
};

TEST_F(LinearExchangeGpuMpi, CudaHasEveryExchange) { expect_same_on_every_exchange(*gpu, 2e-4); }

TEST_F(LinearExchangeGpuMpi, CudaStreamsBatchesThatItsMemoryCannotHold) {
  for (const Problem& problem :
       {Problem{2, linear_problem(1600, 60, 2, 4, true)},
        Problem{2, random_samples({1600, 12, {12, 9}, true, false, 2}, 3)}})  // dense rows
    for (const char* exchange : {"touched", "sparse", "sharded"}) {
      LinearConfig config = config_of("adagrad");
      config.global_batch = 40;
      config.exchange = exchange;
      const Samples mine = share_of(problem.all);
      const Outcome resident = train(*gpu, config, problem.classes, mine, 3);
      config.device_bytes = 48000 / test_world().world_size();
      const Outcome streamed = train(*gpu, config, problem.classes, mine, 3);
      EXPECT_EQ(resident.text.find("streamed"), std::string::npos);
      EXPECT_NE(streamed.text.find("streamed"), std::string::npos) << streamed.text;
      EXPECT_EQ(streamed.parameters, resident.parameters);
      EXPECT_EQ(streamed.loss, resident.loss);
    }
  LinearConfig config = config_of("adagrad");
  config.device_bytes = 100;
  EXPECT_THROW(train(*gpu, config, 2, share_of(linear_problem(400, 60, 2, 4))), Error);
}

/// Batches of the sizes given, each rank's columns: rank r has r, and `common` ones that all have.
BatchLists lists_of(int batches, std::int32_t own, std::int32_t common) {
  BatchLists lists;
  const std::int32_t rank = test_world().rank();
  for (int b = 0; b < batches; ++b) {
    std::vector<std::int32_t> list;
    for (std::int32_t j = 0; j < common; ++j) list.push_back(j);
    for (std::int32_t j = 0; j < own; ++j) list.push_back(common + own * rank + j);
    lists.append(list);
  }
  return lists;
}

TEST(LinearExchangeMpi, TheBytesDecide) {
  const Context host = Context::cpu(1);
  const auto comm = test_world().communicator(host);
  const int ranks = comm->world_size();
  const auto plan = [&](std::int32_t own, std::int32_t common, std::int64_t columns,
                        const char* wanted = "auto") {
    return plan_exchange(host, *comm, wanted, lists_of(100, own, common), columns);
  };
  if (ranks == 1) {
    EXPECT_EQ(plan(5, 5, 100).kind, Exchange::none);
    return;
  }
  const double others = static_cast<double>(ranks - 1) / ranks;
  // Columns that only one rank has: to send them to their owners alone is least.
  const ExchangePlan apart = plan(50, 0, 50 * ranks);
  EXPECT_DOUBLE_EQ(apart.received[1], 100 * 2 * others * 50 * ranks);                // dense
  EXPECT_DOUBLE_EQ(apart.received[2], 100 * 2 * others * 50 * ranks);                // touched
  EXPECT_DOUBLE_EQ(apart.received[3], 100 * static_cast<double>((ranks - 1) * 50));  // sparse
  EXPECT_LE(apart.received[4], 100 * 2 * 50.0 + 50 * ranks);                         // sharded
  EXPECT_EQ(apart.kind,
            apart.received[4] < apart.received[3] ? Exchange::sharded : Exchange::sparse);
  // All columns on all ranks: sums in a ring are less than copies, unless there are two ranks.
  EXPECT_EQ(plan(0, 50, 50).kind, Exchange::dense);
  EXPECT_EQ(plan(0, 50, 5000).kind, Exchange::touched);
  for (const char* wanted : {"dense", "touched", "sparse", "sharded"}) {
    const ExchangePlan asked = plan(3, 5, 100, wanted);
    EXPECT_STREQ(name_of(asked.kind), wanted);
    EXPECT_NE(asked.describe(2).find(std::string("exchange ") + wanted), std::string::npos);
  }
}

TEST(LinearExchangeMpi, TheLogSaysWhatWasChosenAndWhy) {
  if (test_world().world_size() == 1) return;
  const Outcome run = train(Context::cpu(1), config_of("adagrad"), 2,
                            share_of(random_samples({400, 4000, {5}}, 1)), 1);
  EXPECT_NE(run.text.find("MB a rank and epoch (dense "), std::string::npos) << run.text;
}

TEST(LinearExchangeMpi, ShardedStateIsSharedOut) {
  const Context ctx = Context::cpu(1);
  const auto comm = test_world().communicator(ctx);
  LinearConfig config = config_of("ftrl");
  config.exchange = "sharded";
  const Samples all = linear_problem(300, 60, 2, 4, true);
  const LinearShape shape = linear_shape(config, all.num_features, 2);
  const auto make = [&] {
    return make_linear_solver(ctx, ctx, *comm, config, 3, shape, share_of(all));
  };
  const auto straight = make(), first = make(), second = make();
  std::int64_t slots = 0;
  for (const StateTensor& tensor : straight->state())
    if (tensor.name == "optimizer.slots") slots = tensor.rows;
  comm->all_reduce_sum(ctx, VectorView<std::int64_t>{&slots, 1, {}});
  EXPECT_EQ(slots, all.num_features + 1);  // of all ranks together
  for (int epoch = 0; epoch < 4; ++epoch) straight->run_epoch(epoch);
  for (int epoch = 0; epoch < 2; ++epoch) first->run_epoch(epoch);
  const auto from = first->state(), to = second->state();
  for (std::size_t t = 0; t < from.size(); ++t)
    copy_bytes(ctx, to[t].data, {}, from[t].data, {},
               static_cast<std::size_t>(from[t].rows * from[t].stride) *
                   static_cast<std::size_t>(element_size(from[t].type)));
  second->restored();
  for (int epoch = 2; epoch < 4; ++epoch) second->run_epoch(epoch);
  EXPECT_EQ(parameters_of(ctx, *second), parameters_of(ctx, *straight));
}

}  // namespace
}  // namespace gradmill
