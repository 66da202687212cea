#include <cublas_v2.h>

#include <algorithm>

#include "kernels/gemm/gemm.h"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256, kMostBlocks = 2048;
constexpr int kSumRows = 8;  // threads of a block that share a column's sum

unsigned blocks_for(std::int64_t items, std::int64_t each) {
  return static_cast<unsigned>(
      std::min<std::int64_t>(kMostBlocks, std::max<std::int64_t>(1, (items + each - 1) / each)));
}

__global__ void finish_kernel(GemmArgs args, std::int64_t n, std::int64_t count) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < count; e += step) {
    const std::int64_t row = e / n, col = e % n;
    float x = args.c(row, col);
    if (args.finish == GemmArgs::Finish::bias_activation) {
      if (args.bias.size) x += args.bias[col];
      if (args.kept.data) args.kept(row, col) = x;
      x = activate(args.activation, x);
    } else {
      x *= activation_slope(args.activation, args.kept(row, col));
    }
    args.c(row, col) = x;
  }
}

/// Sums of the columns of x [P, M] (M threads wide) or of its rows, in order of p within kSumRows strands.
__global__ void sums_kernel(MatrixView<const float> x, bool by_column, bool add,
                            VectorView<float> sums) {
  __shared__ float strands[kSumRows][33];
  const std::int64_t i = std::int64_t{blockIdx.x} * 32 + threadIdx.x;
  const std::int64_t depth = by_column ? x.rows : x.cols;
  float sum = 0;
  if (i < sums.size)
    for (std::int64_t p = threadIdx.y; p < depth; p += kSumRows)
      sum += by_column ? x(p, i) : x(i, p);
  strands[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || i >= sums.size) return;
  for (int s = 1; s < kSumRows; ++s) sum += strands[s][threadIdx.x];
  sums[i] = (add ? sums[i] : 0.0f) + sum;
}

/// cuBLAS counts by columns: it sees every matrix transposed, and so computes cᵀ = op(b)ᵀ op(a)ᵀ.
void multiply(const Context& ctx, const GemmArgs& args) {
  const float one = 1, beta = args.accumulate ? 1.0f : 0.0f;
  const auto int_of = [](std::int64_t n) { return static_cast<int>(n); };
  const cublasStatus_t status =
      cublasSgemm(ctx.blas(), args.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                  args.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, int_of(args.n()), int_of(args.m()),
                  int_of(args.depth()), &one, args.b.data, int_of(args.b.stride), args.a.data,
                  int_of(args.a.stride), &beta, args.c.data, int_of(args.c.stride));
  cublas_check(status, "gemm");
}
}  // namespace

void gemm(const Context& ctx, const GemmArgs& args) {
  const std::int64_t m = args.m(), n = args.n();
  if (n > 0 && args.depth() > 0)
    multiply(ctx, args);
  else if (!args.accumulate)
    for (std::int64_t row = 0; row < m; ++row)
      ctx.zero(args.c.row(row), sizeof(float) * static_cast<std::size_t>(n));
  if (args.a_sums.size) {
    sums_kernel<<<static_cast<unsigned>((m + 31) / 32), dim3(32, kSumRows), 0, ctx.stream()>>>(
        args.a, args.transpose_a, args.accumulate, args.a_sums);
    cuda_check(cudaGetLastError(), "launch gemm's sums");
  }
  if (args.finish == GemmArgs::Finish::none || n == 0) return;
  if (args.finish == GemmArgs::Finish::activation_gradient &&
      args.activation == Activation::identity)
    return;
  finish_kernel<<<blocks_for(m * n, kThreads), kThreads, 0, ctx.stream()>>>(args, n, m * n);
  cuda_check(cudaGetLastError(), "launch gemm's finish");
}

}  // namespace gradmill::cuda
