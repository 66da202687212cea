// MLPs on CUDA against the CPU.
#include <gtest/gtest.h>

#include "runtime/error.h"
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

TEST(MlpSolverCudaTest, NormsInteractionAndLambTrainAsOnTheCpu) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const MlpProblem problem({.rows = 150, .bags = true, .classes = 3});
  MlpConfig config;
  config.hidden = "12,12";
  config.activation = "gelu";
  config.norm = "batch";
  config.interaction = "dot";
  config.optimizer = "lamb";
  config.learning_rate = 0.02;
  config.global_batch = 50;
  config.average_decay = 0.9;
  config.epsilon = 1e-4;
  config.freeze = "hidden.1";
  std::vector<float> on_cpu, on_gpu;
  const auto expected = losses(Context::cpu(1), config, problem, on_cpu);
  const auto got = losses(*gpus[0], config, problem, on_gpu);
  for (std::size_t e = 0; e < expected.size(); ++e) EXPECT_NEAR(got[e], expected[e], 1e-4);
  for (std::size_t i = 0; i < on_cpu.size(); ++i) ASSERT_NEAR(on_gpu[i], on_cpu[i], 2e-3) << i;
}

/// Operands rounded to 8 bits (bf16) or 11 (tf32, fp16) move the losses of three epochs by about their rounding.
TEST(MlpSolverCudaTest, PrecisionsStayNearSinglePrecision) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const MlpProblem problem({.rows = 200, .classes = 3});
  MlpConfig config;
  config.hidden = "32,32";
  config.learning_rate = 0.01;
  config.global_batch = 50;
  std::vector<float> margins;
  const auto exact = losses(*gpus[0], config, problem, margins);
  for (const auto& [precision, bound] : std::vector<std::pair<const char*, double>>{
           {"tf32", 2e-3}, {"fp16", 2e-3}, {"bf16", 1.5e-2}}) {
    config.precision = precision;
    const auto got = losses(*gpus[0], config, problem, margins);
    for (std::size_t e = 0; e < exact.size(); ++e)
      EXPECT_NEAR(got[e], exact[e], bound * exact[e]) << precision;
    EXPECT_NE(got, exact) << precision;
  }
}

/// Counts how often the host waits.
struct WaitCounter final : StreamWatch {
  explicit WaitCounter(const Context& ctx) : ctx_(ctx) { ctx.watch(this); }
  ~WaitCounter() { ctx_.watch(nullptr); }
  void waiting(double) override { ++count; }
  const Context& ctx_;
  std::int64_t count = 0;
};

double value_of(const MlpSolver& solver, const std::string& name) {
  for (const auto& [key, value] : solver.progress())
    if (key == name) return value;
  return -1;
}

TEST(MlpSolverCudaTest, AStepIsOneGraphAndTheHostOnlyWaitsForRoom) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& ctx = *gpus[0];
  const Context host = Context::cpu(1);
  const auto comm = make_self_communicator();
  const MlpProblem problem({.rows = 640, .numeric = 5, .categories = {}, .classes = 3});
  MlpConfig config;
  config.hidden = "32,32,32";
  config.global_batch = 16;  // 40 steps
  config.clip_norm = 1;
  const auto solver = make_mlp_solver(ctx, host, *comm, config, 5, problem.shape, problem.samples);
  solver->run_epoch(0);
  const double before = value_of(*solver, "graphs_launched");
  WaitCounter waits(ctx);
  solver->run_epoch(1);
  // A step: for the copy of the batch three steps ago. The epoch: its sums at the end, which are copied.
  // A simulator's schedules that begin nothing before it is asked for are asked more often.
  if (!std::getenv("CUDASIM_SCHEDULE")) {
    EXPECT_LE(waits.count, 40 + 4);
  }
  EXPECT_EQ(value_of(*solver, "graphs_launched") - before, 40);
  // Products with bias: 4 forward, and behind 3 the activation. The loss. 4 of weights with the sums that are
  // bias gradients, 3 of inputs, each with the slope of the activation. The decision, the optimizer.
  EXPECT_EQ(value_of(*solver, "step_kernels"), 4 + 1 + 4 + 3 + 2);
  EXPECT_EQ(value_of(*solver, "step_nodes"), 4 + 1 + 4 + 3 + 2);
}

TEST(MlpSolverCudaTest, WhatIsNotFiniteEndsTheRunOrIsSkipped) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context host = Context::cpu(1);
  const auto comm = make_self_communicator();
  MlpProblem problem({.rows = 400, .classes = 0});
  problem.samples.labels[123] = std::nanf("");
  MlpConfig config;
  config.hidden = "8";
  config.global_batch = 20;
  const auto stops =
      make_mlp_solver(*gpus[0], host, *comm, config, 5, problem.shape, problem.samples);
  EXPECT_THROW(stops->run_epoch(0), Error);
  config.on_nonfinite = "skip";
  const auto skips =
      make_mlp_solver(*gpus[0], host, *comm, config, 5, problem.shape, problem.samples);
  for (int epoch = 0; epoch < 3; ++epoch) skips->run_epoch(epoch);
  EXPECT_TRUE(std::isfinite(skips->loss()));
  EXPECT_EQ(value_of(*skips, "skipped_steps"), 3);
}
}  // namespace
}  // namespace gradmill
