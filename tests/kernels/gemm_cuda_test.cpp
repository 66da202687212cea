#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/gemm/gemm.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/gemm_problem.h"

namespace gradmill {
namespace {
using testing::GemmCase;
using Finish = GemmArgs::Finish;

/// The CPU's kernel, which its own test holds against double precision, is the reference.
void check(const Context& gpu, const GemmCase& c) {
  testing::GemmProblem problem(c);
  const std::string what = fmt::format("gemm {} x {} x {}, transposed {} {}, finish {}", c.m, c.n,
                                       c.depth, c.transpose_a, c.transpose_b, int(c.finish));
  testing::expect_device_matches(gpu, what, problem.args(), {1e-4, 1e-4}, gemm, [&](const auto& a) {
    gemm(Context::cpu(1), a);
    problem.expect_right();
  });
}

TEST(GemmCuda, AllSizesAndBothTranspositions) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t m : {0, 1, 31, 33, 257})
    for (const std::int64_t n : {1, 32, 100})
      for (const std::int64_t depth : {0, 1, 33, 300}) {
        check(*gpus[0], {m, n, depth});
        check(*gpus[0], {m, n, depth, true, false});
        check(*gpus[0], {m, n, depth, false, true, true});
      }
}

TEST(GemmCuda, EveryFinishWithEveryActivation) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu,
                                      Activation::silu, Activation::tanh})
    for (const Finish finish : {Finish::bias_activation, Finish::activation_gradient})
      check(*gpus[0], {65, 40, 70, false, true, false, finish, activation});
}
}  // namespace
}  // namespace gradmill
