#include <cublas_v2.h>

#include <algorithm>

#include "kernels/gemm/gemm_lt.h"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256, kMostBlocks = 2048;
constexpr int kSumRows = 8;  // threads of a block that share a column's sum

unsigned blocks_for(std::int64_t items, std::int64_t each) {
  return static_cast<unsigned>(
      std::min<std::int64_t>(kMostBlocks, std::max<std::int64_t>(1, (items + each - 1) / each)));
}

/// What no epilogue did, from `from` to c; `biased`: the bias is there.
__global__ void finish_kernel(GemmArgs args, MatrixView<const float> from, bool biased,
                              std::int64_t n, std::int64_t count) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < count; e += step) {
    const std::int64_t row = e / n, col = e % n;
    float x = from(row, col);
    if (args.finish == GemmArgs::Finish::bias_activation) {
      if (args.bias.size && !biased) x += args.bias[col];
      if (args.kept.data && args.kept.data != from.data) args.kept(row, col) = x;
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

/// How a product is done: what its epilogue does, where that writes, and what follows as kernels.
struct Plan {
  Epilogue epilogue = Epilogue::none;
  MatrixView<float> to;
  bool sums = false, finish = false;
};

Plan plain(const GemmArgs& args) {
  const bool finishes = args.finish == GemmArgs::Finish::bias_activation ||
                        (args.finish == GemmArgs::Finish::activation_gradient &&
                         args.activation != Activation::identity);
  return {Epilogue::none, args.c, args.a_sums.size > 0, finishes};
}

/// The one place that decides it.
Plan choose(const GemmArgs& args) {
  Plan plan = plain(args);
  const bool relu = args.activation == Activation::relu, masked = args.mask.data != nullptr;
  if (args.finish == GemmArgs::Finish::none) {
    if (plan.sums && !args.accumulate) plan = {Epilogue::sums, args.c, false, false};
  } else if (args.finish == GemmArgs::Finish::activation_gradient) {
    if (relu && masked) plan = {Epilogue::relu_gradient, args.c, plan.sums, false};
  } else if (args.bias.size) {
    if (relu && !args.kept.data)
      plan = {masked ? Epilogue::relu_mask_bias : Epilogue::relu_bias, args.c, plan.sums, false};
    else if (args.kept.data)  // the value before the activation goes where it is kept
      plan = {Epilogue::bias, args.kept, plan.sums, true};
    else
      plan = {Epilogue::bias, args.c, plan.sums, args.activation != Activation::identity};
  }
  return plan;
}

void zero(const Context& ctx, MatrixView<float> m) {
  for (std::int64_t row = 0; row < m.rows; ++row)
    ctx.zero(m.row(row), sizeof(float) * static_cast<std::size_t>(m.cols));
}
}  // namespace

void gemm(const Context& ctx, const GemmArgs& args) {
  const std::int64_t m = args.m(), n = args.n();
  Plan plan = choose(args);
  if (n == 0 || args.depth() == 0) {  // there is nothing to multiply
    plan = plain(args);
    if (!args.accumulate) zero(ctx, args.c);
  } else if (!multiply_with(ctx, args, plan.epilogue, plan.to)) {
    plan = plain(args);
    if (!multiply_with(ctx, args, plan.epilogue, plan.to))
      throw_cublas_error(CUBLAS_STATUS_NOT_SUPPORTED, "gemm", std::source_location::current());
  }
  if (plan.sums) {
    sums_kernel<<<static_cast<unsigned>((m + 31) / 32), dim3(32, kSumRows), 0, ctx.stream()>>>(
        args.a, args.transpose_a, args.accumulate, args.a_sums);
    cuda_check(cudaGetLastError(), "launch gemm's sums");
  }
  if (!plan.finish || n == 0) return;
  finish_kernel<<<blocks_for(m * n, kThreads), kThreads, 0, ctx.stream()>>>(
      args, plan.to, plan.epilogue == Epilogue::bias, n, m * n);
  cuda_check(cudaGetLastError(), "launch gemm's finish");
}

}  // namespace gradmill::cuda
