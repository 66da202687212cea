#include <algorithm>

#include "kernels/pair_dots/pair_dots.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kMostStaged = 12 * 1024;  // floats: below the 48 KiB that need no permission

/// A block a sample, whose vectors it has in shared memory (if they fit), each with one float of padding so that threads
/// with different vectors meet different banks; a thread a pair.
__global__ void __launch_bounds__(kThreads) pair_dots_kernel(PairDotsArgs args, bool staged) {
  extern __shared__ float shared[];
  const std::int64_t dim = args.dim, n = args.vectors.cols / dim;
  for (std::int64_t b = blockIdx.x; b < args.vectors.rows; b += gridDim.x) {
    const float* x = args.vectors.row(b);
    std::int64_t stride = dim;
    if (staged) {
      __syncthreads();
      for (std::int64_t t = threadIdx.x; t < n * dim; t += kThreads)
        shared[t / dim * (dim + 1) + t % dim] = x[t];
      __syncthreads();
      x = shared;
      stride = dim + 1;
    }
    for (std::int64_t p = threadIdx.x; p < args.out.cols; p += kThreads) {
      auto j = static_cast<std::int64_t>((1 + sqrtf(1 + 8 * static_cast<float>(p))) / 2);
      while (j * (j - 1) / 2 > p) --j;  // rounding of the root
      while ((j + 1) * j / 2 <= p) ++j;
      const float *left = x + (p - j * (j - 1) / 2) * stride, *right = x + j * stride;
      float sum = 0;
      for (std::int64_t k = 0; k < dim; ++k) sum += left[k] * right[k];
      args.out(b, p) = sum;
    }
  }
}

/// A block a sample; a thread an element of its gradient.
__global__ void __launch_bounds__(kThreads)
    pair_dots_gradient_kernel(PairDotsGradientArgs args, bool staged) {
  extern __shared__ float shared[];
  const std::int64_t dim = args.dim, n = args.vectors.cols / dim;
  for (std::int64_t b = blockIdx.x; b < args.vectors.rows; b += gridDim.x) {
    const float* x = args.vectors.row(b);
    if (staged) {
      __syncthreads();
      for (std::int64_t t = threadIdx.x; t < n * dim; t += kThreads) shared[t] = x[t];
      __syncthreads();
      x = shared;
    }
    for (std::int64_t t = threadIdx.x; t < n * dim; t += kThreads) {
      const std::int64_t i = t / dim, k = t % dim;
      float sum = 0;
      for (std::int64_t j = 0; j < n; ++j)
        if (j != i) sum += args.slopes(b, pair_place(i, j)) * x[j * dim + k];
      args.gradient(b, t) += sum;
    }
  }
}

unsigned blocks_for(std::int64_t rows) {
  return static_cast<unsigned>(std::min<std::int64_t>(rows, 65535));
}
}  // namespace

void pair_dots(const Context& ctx, const PairDotsArgs& args) {
  const std::int64_t floats = args.vectors.cols / args.dim * (args.dim + 1);
  const bool staged = floats <= kMostStaged;
  pair_dots_kernel<<<blocks_for(args.out.rows), kThreads,
                     staged ? static_cast<std::size_t>(floats) * sizeof(float) : 0, ctx.stream()>>>(
      args, staged);
  cuda_check(cudaGetLastError(), "launch pair_dots");
}

void pair_dots_gradient(const Context& ctx, const PairDotsGradientArgs& args) {
  const std::int64_t floats = args.vectors.cols;
  const bool staged = floats <= kMostStaged;
  pair_dots_gradient_kernel<<<blocks_for(args.slopes.rows), kThreads,
                              staged ? static_cast<std::size_t>(floats) * sizeof(float) : 0,
                              ctx.stream()>>>(args, staged);
  cuda_check(cudaGetLastError(), "launch pair_dots_gradient");
}

}  // namespace gradmill::cuda
