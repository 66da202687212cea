#include <gtest/gtest.h>

#include "kernels/dropout/dropout.h"
#include "tests/support/devices.h"
#include "tests/support/gemm_problem.h"

namespace gradmill {
namespace {
using testing::PaddedMatrix;

/// A check context compares both devices.
TEST(DropoutCudaTest, AgreesWithCpu) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context ctx = Context::check(0, 1);
  for (const std::int64_t rows : {0, 1, 33, 257})
    for (const std::int64_t units : {1, 31, 32, 33, 130})
      for (const float rate : {0.0f, 0.4f}) {
        PaddedMatrix in(rows, units, 1), beside(rows, units, 2), out(rows, units, 3);
        std::vector<std::int32_t> positions;
        for (std::int64_t r = 0; r < rows; ++r)
          positions.push_back(static_cast<std::int32_t>(7 * r));
        const DropoutMask mask{rate, 42, 9, 3, {positions.data(), rows, {}}, {}};
        dropout(ctx, {mask, in.view(), {}, out.view()});
        dropout(ctx, {mask, in.view(), beside.view(), out.view()});
        for (const Activation activation : {Activation::relu, Activation::gelu, Activation::tanh})
          dropout_gradient(ctx, {mask, in.view(), activation, beside.view(), out.view()});
      }
}
}  // namespace
}  // namespace gradmill
