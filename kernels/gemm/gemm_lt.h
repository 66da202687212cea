// Products by cuBLASLt, with what it can do in the same pass.
#pragma once

#include "kernels/gemm/gemm.h"

namespace gradmill::cuda {

/// What is fused into a product, by cuBLASLt's names.
enum class Epilogue : std::uint8_t {
  none,
  bias,            // + bias
  relu_bias,       // relu(. + bias)
  relu_mask_bias,  // and the mask of what was positive
  relu_gradient,   // . where the mask is set
  sums             // and a_sums
};

/// to = epilogue(op(a) op(b) [+ c]). False, and nothing was enqueued, if the library has no algorithm for that.
bool multiply_with(const Context& ctx, const GemmArgs& args, Epilogue epilogue,
                   MatrixView<float> to);

}  // namespace gradmill::cuda
