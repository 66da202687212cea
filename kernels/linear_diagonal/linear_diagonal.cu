#include "kernels/linear_diagonal/linear_diagonal.h"

#include "kernels/linear_pass/device_pass.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;

/// t = s p (1 - p).
__global__ void __launch_bounds__(kThreads)
    softmax_curvature_kernel(LinearDiagonalArgs args, MatrixView<float> t) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= t.rows * t.cols) return;
  const std::int64_t row = i / t.cols, c = i % t.cols;
  const float p = args.curvatures(row, c);
  t(row, c) = (args.weights.size ? args.weights[row] : 1.0f) * p * (1 - p);
}
}  // namespace

void linear_diagonal(const Context& ctx, const LinearDiagonalArgs& args) {
  MatrixView<const float> t = args.curvatures;
  Workspace::Scope scratch(ctx);
  if (args.loss_kind.kind == LossKind::softmax && t.rows > 0) {
    const std::int64_t count = t.rows * t.cols;
    const MatrixView<float> own{scratch.take<float>(count).data, t.rows, t.cols, t.cols,
                                ctx.device()};
    softmax_curvature_kernel<<<static_cast<unsigned>(ceil_div<std::int64_t>(count, kThreads)),
                               kThreads, 0, ctx.stream()>>>(args, own);
    cuda_check(cudaGetLastError(), "launch linear_diagonal");
    t = own;
  }
  transposed_product(ctx, args.matrix, t, true, args.diagonal);
  column_sums(ctx, t, args.intercept_diagonal);
}

}  // namespace gradmill::cuda
