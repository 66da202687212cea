// MLPs on CUDA against the CPU.
#include <gtest/gtest.h>

#include "tests/support/devices.h"
#include "tests/support/mlp_problem.h"

namespace gradmill {
namespace {
using testing::MlpProblem;

std::vector<double> losses(const Context& ctx, const MlpConfig& config, const MlpProblem& problem,
                           std::vector<float>& margins) {
  const Context host = Context::cpu(1);
  const auto comm = make_self_communicator();
  const auto solver = make_mlp_solver(ctx, host, *comm, config, 5, problem.shape, problem.samples);
  std::vector<double> result;
  for (int epoch = 0; epoch < 3; ++epoch) {
    solver->run_epoch(epoch);
    result.push_back(solver->loss());
  }
  const std::int64_t rows = problem.samples.rows(), outputs = problem.shape.outputs;
  margins.resize(static_cast<std::size_t>(rows * outputs));
  solver->predict(problem.samples, {margins.data(), rows, outputs, outputs, {}});
  return result;
}

TEST(MlpSolverCudaTest, TrainsAsTheCpuDoes) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const MlpProblem problem({.rows = 150, .bags = true, .weights = true, .classes = 3});
  for (const char* optimizer : {"sgd", "adagrad", "adam"})
    for (const double clip : {0.0, 0.3}) {
      SCOPED_TRACE(::testing::Message() << optimizer << ", clip " << clip);
      MlpConfig config;
      config.hidden = "12,12";
      config.activation = "silu";
      config.optimizer = optimizer;
      config.learning_rate = 0.05;
      config.momentum = 0;
      config.global_batch = 64;
      config.dropout = 0.2;
      config.residual = true;
      config.wide = true;
      config.norm = "layer";
      config.average_decay = 0.9;
      config.accumulate = 2;
      config.epsilon = 1e-4;
      config.clip_norm = clip;
      std::vector<float> on_cpu, on_gpu;
      const auto expected = losses(Context::cpu(1), config, problem, on_cpu);
      const auto got = losses(*gpus[0], config, problem, on_gpu);
      for (std::size_t e = 0; e < expected.size(); ++e) EXPECT_NEAR(got[e], expected[e], 1e-4);
      for (std::size_t i = 0; i < on_cpu.size(); ++i) ASSERT_NEAR(on_gpu[i], on_cpu[i], 2e-3) << i;
    }
}
}  // namespace
}  // namespace gradmill
