// Linear models on CUDA against the same ranks on the CPU: every optimizer, every loss.
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

struct Outcome {
  double loss = 0;
  std::vector<float> parameters;
};

/// Every world's rank has its share of the rows; the same shares on both devices.
Outcome train(const Context& ctx, const LinearConfig& config, int classes, const Samples& all) {
  const auto comm = test_world().communicator(ctx);
  Samples mine =
      part_of(all, [&](std::int64_t r) { return r % comm->world_size() == comm->rank(); });
  const Context host = Context::cpu(1);
  const LinearShape shape = linear_shape(config, all.num_features, classes);
  const auto solver = make_linear_solver(ctx, host, *comm, config, 3, shape, std::move(mine));
  for (int epoch = 0; epoch < 3; ++epoch)
    if (!solver->run_epoch(epoch)) break;
  return {solver->loss(), parameters_of(ctx, *solver)};
}

void compare(const Context& gpu, const std::string& optimizer, const std::string& loss, int classes,
             const Samples& all) {
  SCOPED_TRACE(optimizer + ", " + loss + ", " + std::to_string(classes) + " classes");
  LinearConfig config;
  config.optimizer = optimizer;
  config.loss = loss;
  config.l2 = 1e-3;
  config.l1 = optimizer == "owlqn" || optimizer == "ftrl" ? 1e-3 : 0;
  config.global_batch = 64;
  config.learning_rate = 0.02;
  // Slopes of the first batches cancel but for rounding, whose sign must not decide a whole first step.
  config.epsilon = 1e-4;
  config = with_defaults(config);
  const Outcome want = train(Context::cpu(1), config, classes, all);
  const Outcome got = train(gpu, config, classes, all), again = train(gpu, config, classes, all);
  EXPECT_EQ(got.parameters, again.parameters);
  EXPECT_NEAR(got.loss, want.loss, 1e-4 * std::max(1.0, std::abs(want.loss)));
  ASSERT_EQ(got.parameters.size(), want.parameters.size());
  for (std::size_t i = 0; i < want.parameters.size(); ++i)
    ASSERT_NEAR(got.parameters[i], want.parameters[i], 2e-3) << "parameter " << i;
}

TEST(LinearSolverMpi, CudaGivesTheModelOfTheCpu) {
  if (Context::cuda_device_count() <= test_world().local_rank()) {
    if (std::getenv("GRADMILL_REQUIRE_CUDA"))
      FAIL() << "no CUDA device for local rank " << test_world().local_rank();
    GTEST_SKIP() << "no CUDA device for local rank " << test_world().local_rank();
  }
  const Context gpu = Context::cuda(test_world().local_rank());
  const Samples two = linear_problem(250, 40, 2, 4, true), three = linear_problem(250, 20, 3, 4),
                dense = linear_problem(200, 12, 2, 4), real = linear_problem(250, 40, 0, 4),
                counts = linear_problem(250, 40, 0, 4, false, true);
  for (const char* optimizer :
       {"lbfgs", "owlqn", "newton_cg", "sgd", "adagrad", "adam", "adamw", "ftrl"}) {
    compare(gpu, optimizer, "logistic", 2, two);
    compare(gpu, optimizer, "softmax", 3, three);
  }
  for (const char* optimizer : {"newton_cg", "adagrad"}) {
    compare(gpu, optimizer, "logistic", 2, dense);
    compare(gpu, optimizer, "logistic", 3, three);  // one against the rest
    compare(gpu, optimizer, "squared_hinge", 2, two);
    for (const char* loss : {"squared", "huber"}) compare(gpu, optimizer, loss, 0, real);
    compare(gpu, optimizer, "poisson", 0, counts);
  }
  compare(gpu, "adagrad", "hinge", 2, two);
  compare(gpu, "adagrad", "quantile", 0, real);
}

}  // namespace
}  // namespace gradmill
