// Batch normalization, pairs of vectors and LAMB on CUDA against the CPU's, which their own tests check.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/pair_dots/pair_dots.h"
#include "tests/support/batch_norm_problem.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/lamb_problem.h"

namespace gradmill {
namespace {
using testing::BatchNormProblem;
using testing::expect_device_matches;
using testing::LambProblem;

TEST(BatchNormCuda, EveryPartAndSize) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context &gpu = *gpus[0], cpu = Context::cpu(1);
  for (const std::int64_t rows : {0, 1, 33, 257, 700})
    for (const std::int64_t units : {1, 32, 70}) {
      BatchNormProblem p(rows, units);
      p.input[StepInput::rows] = static_cast<double>(rows + 5);  // other ranks have some
      const std::string what = fmt::format("batch norm {} x {}", rows, units);
      const auto compare = [&](auto args, auto op) {
        expect_device_matches(gpu, what, args, decltype(args)::tolerance, op,
                              [&](const auto& a) { op(cpu, a); });
      };
      compare(p.sums_args(), batch_norm_sums);
      for (double& sum : p.sums) sum += 3;
      compare(p.forward_args(true), batch_norm);
      compare(p.track_args(), batch_norm_track);
      compare(p.gradient_sums_args(), batch_norm_gradient_sums);
      compare(p.gradient_args(), batch_norm_gradient);
      BatchNormProblem given(rows, units);
      compare(given.forward_args(false), batch_norm);
    }
}

TEST(PairDotsCuda, PairsAndTheirGradient) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context cpu = Context::cpu(1);
  for (const std::int64_t rows : {0, 1, 33})
    for (const auto& [n, dim] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1, 4}, {2, 1}, {27, 16}, {40, 400}}) {  // the last does not fit on chip
      const std::int64_t pairs = num_pairs(n);
      std::vector<float> x, slopes, gradient;
      for (std::int64_t i = 0; i < rows * n * dim; ++i) {
        x.push_back(static_cast<float>(i % 23) / 16 - 0.5f);
        gradient.push_back(static_cast<float>(i % 7));
      }
      for (std::int64_t i = 0; i < rows * pairs; ++i)
        slopes.push_back(static_cast<float>(i % 5) / 4);
      std::vector<float> out(slopes.size());
      const MatrixView<const float> vectors{x.data(), rows, n * dim, n * dim, {}};
      expect_device_matches(*gpus[0], fmt::format("pairs of {} x {}", n, dim),
                            PairDotsArgs{dim, vectors, {out.data(), rows, pairs, pairs, {}}},
                            {1e-4, 1e-4}, pair_dots, [&](const auto& a) { pair_dots(cpu, a); });
      expect_device_matches(*gpus[0], fmt::format("gradient of pairs of {} x {}", n, dim),
                            PairDotsGradientArgs{dim,
                                                 vectors,
                                                 {slopes.data(), rows, pairs, pairs, {}},
                                                 {gradient.data(), rows, n * dim, n * dim, {}}},
                            {1e-4, 1e-4}, pair_dots_gradient,
                            [&](const auto& a) { pair_dots_gradient(cpu, a); });
    }
}

TEST(LambStepCuda, TensorsOfManySizes) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::vector<std::int64_t>& sizes :
       std::vector<std::vector<std::int64_t>>{{}, {16}, {48, 16, 3 * kLambChunk + 160, 32}})
    for (const bool freezes : {false, true}) {
      LambProblem p(sizes, freezes);
      expect_device_matches(*gpus[0], fmt::format("lamb of {} tensors", sizes.size()), p.args,
                            {1e-5, 1e-6}, lamb_step,
                            [](const auto& a) { lamb_step(Context::cpu(1), a); });
    }
}
}  // namespace
}  // namespace gradmill
