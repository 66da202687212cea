#include <gtest/gtest.h>

#include "tests/support/devices.h"
#include "tests/support/layer_norm_problem.h"

namespace gradmill {
namespace {
/// A check context compares both devices.
TEST(LayerNormCudaTest, AgreesWithCpu) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context ctx = Context::check(0, 1);
  for (const std::int64_t rows : {0, 1, 33, 257})
    for (const std::int64_t units : {7, 31, 32, 33, 300})
      for (const Activation activation : {Activation::relu, Activation::gelu}) {
        testing::LayerNormProblem p(rows, units);
        layer_norm(ctx, p.args(activation));
        layer_norm_gradient(ctx, p.gradient_args(activation == Activation::gelu));
      }
}
}  // namespace
}  // namespace gradmill
