#include "kernels/layer_norm/layer_norm.h"
#include "runtime/cuda_check.h"

namespace gradmill {
namespace {
constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kStrands = 8;  // threads of a block that share a column's sum

/// The sum over the block, for all its threads. `shared` [kWarps] may be reused after the next barrier.
__device__ float block_sum(float x, float* shared) {
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += shared[w];
  __syncthreads();
  return sum;
}

/// A block a row.
__global__ void layer_norm_kernel(LayerNormArgs args) {
  __shared__ float shared[kWarps];
  const std::int64_t row = blockIdx.x, units = args.x.cols;
  float* x = args.x.row(row);
  float sum = 0, squares = 0;
  for (std::int64_t h = threadIdx.x; h < units; h += kThreads) sum += x[h];
  const float mean = block_sum(sum, shared) / static_cast<float>(units);
  for (std::int64_t h = threadIdx.x; h < units; h += kThreads)
    squares += (x[h] - mean) * (x[h] - mean);
  const float variance = block_sum(squares, shared) / static_cast<float>(units);
  const float inverse = 1 / sqrtf(variance + args.epsilon);
  if (threadIdx.x == 0) args.inverse[row] = inverse;
  for (std::int64_t h = threadIdx.x; h < units; h += kThreads) {
    const float n = x[h] = (x[h] - mean) * inverse;
    const float y = args.scale[h] * n + args.shift[h];
    if (args.kept.data) args.kept(row, h) = y;
    args.out(row, h) = activate(args.activation, y);
  }
}

/// Before the gradient is overwritten: 32 columns a block, rows in kStrands strands.
__global__ void layer_norm_sums_kernel(LayerNormGradientArgs args) {
  __shared__ float scales[kStrands][33], shifts[kStrands][33];
  const std::int64_t h = std::int64_t{blockIdx.x} * 32 + threadIdx.x;
  float scale = 0, shift = 0;
  if (h < args.gradient.cols)
    for (std::int64_t row = threadIdx.y; row < args.gradient.rows; row += kStrands) {
      scale += args.gradient(row, h) * args.normalized(row, h);
      shift += args.gradient(row, h);
    }
  scales[threadIdx.y][threadIdx.x] = scale;
  shifts[threadIdx.y][threadIdx.x] = shift;
  __syncthreads();
  if (threadIdx.y != 0 || h >= args.gradient.cols) return;
  for (int s = 1; s < kStrands; ++s) {
    scale += scales[s][threadIdx.x];
    shift += shifts[s][threadIdx.x];
  }
  args.scale_gradient[h] = (args.accumulate ? args.scale_gradient[h] : 0.0f) + scale;
  args.shift_gradient[h] = (args.accumulate ? args.shift_gradient[h] : 0.0f) + shift;
}

/// A block a row.
__global__ void layer_norm_gradient_kernel(LayerNormGradientArgs args) {
  __shared__ float shared[kWarps];
  const std::int64_t row = blockIdx.x, units = args.gradient.cols;
  float* g = args.gradient.row(row);
  const float* n = args.normalized.row(row);
  float sum = 0, products = 0;
  for (std::int64_t h = threadIdx.x; h < units; h += kThreads) {
    const float t = g[h] * args.scale[h];
    sum += t;
    products += t * n[h];
  }
  const float mean = block_sum(sum, shared) / static_cast<float>(units);
  const float along = block_sum(products, shared) / static_cast<float>(units);
  const float inverse = args.inverse[row];
  for (std::int64_t h = threadIdx.x; h < units; h += kThreads)
    g[h] = inverse * (g[h] * args.scale[h] - mean - n[h] * along);
}
}  // namespace

void cuda::layer_norm(const Context& ctx, const LayerNormArgs& args) {
  layer_norm_kernel<<<static_cast<unsigned>(args.x.rows), kThreads, 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch layer_norm");
}

void cuda::layer_norm_gradient(const Context& ctx, const LayerNormGradientArgs& args) {
  const auto blocks = static_cast<unsigned>((args.gradient.cols + 31) / 32);
  layer_norm_sums_kernel<<<blocks, dim3(32, kStrands), 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch layer_norm_gradient's sums");
  if (args.gradient.rows == 0) return;
  layer_norm_gradient_kernel<<<static_cast<unsigned>(args.gradient.rows), kThreads, 0,
                               ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch layer_norm_gradient");
}

}  // namespace gradmill
