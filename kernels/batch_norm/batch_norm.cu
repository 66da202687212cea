#include <algorithm>

#include "kernels/batch_norm/batch_norm.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kStrands = 8, kThreads = 256;
constexpr std::int64_t kChunkRows = 256;

/// A block 32 columns of one chunk of rows, in kStrands strands; parts [chunks, 2 H]. With `other`: sums of x and of
/// x other, else of x and of its squares.
__global__ void __launch_bounds__(32 * kStrands)
    chunks_kernel(MatrixView<const float> x, MatrixView<const float> other, double* parts) {
  __shared__ double firsts[kStrands][33], seconds[kStrands][33];
  const std::int64_t h = std::int64_t{blockIdx.x} * 32 + threadIdx.x;
  const std::int64_t begin = std::int64_t{blockIdx.y} * kChunkRows;
  const std::int64_t end = min(x.rows, begin + kChunkRows);
  double first = 0, second = 0;
  if (h < x.cols)
    for (std::int64_t b = begin + threadIdx.y; b < end; b += kStrands) {
      const double value = x(b, h);
      first += value;
      second += value * (other.data ? static_cast<double>(other(b, h)) : value);
    }
  firsts[threadIdx.y][threadIdx.x] = first;
  seconds[threadIdx.y][threadIdx.x] = second;
  __syncthreads();
  if (threadIdx.y != 0 || h >= x.cols) return;
  for (int s = 1; s < kStrands; ++s) {
    first += firsts[s][threadIdx.x];
    second += seconds[s][threadIdx.x];
  }
  parts[2 * blockIdx.y * x.cols + h] = first;
  parts[(2 * blockIdx.y + 1) * x.cols + h] = second;
}

__global__ void __launch_bounds__(kThreads)
    add_chunks_kernel(const double* parts, std::int64_t chunks, VectorView<double> sums,
                      VectorView<float> shift_gradient, VectorView<float> scale_gradient) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= sums.size) return;
  double sum = 0;
  for (std::int64_t c = 0; c < chunks; ++c) sum += parts[c * sums.size + i];
  sums[i] = sum;
  if (shift_gradient.size == 0) return;
  const std::int64_t units = sums.size / 2;
  (i < units ? shift_gradient[i] : scale_gradient[i - units]) = static_cast<float>(sum);
}

unsigned blocks_for(std::int64_t items) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>(ceil_div<std::int64_t>(items, kThreads), 1, 65535));
}

void add_columns(const Context& ctx, MatrixView<const float> x, MatrixView<const float> other,
                 VectorView<double> sums, VectorView<float> shift_gradient,
                 VectorView<float> scale_gradient) {
  const std::int64_t chunks = ceil_div(x.rows, kChunkRows);
  Workspace::Scope scratch(ctx);
  double* parts = scratch.take<double>(chunks * sums.size).data;
  if (chunks > 0 && x.cols > 0) {
    const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(x.cols, 32)),
                    static_cast<unsigned>(chunks));
    chunks_kernel<<<grid, dim3(32, kStrands), 0, ctx.stream()>>>(x, other, parts);
    cuda_check(cudaGetLastError(), "launch batch_norm's sums of chunks");
  }
  add_chunks_kernel<<<blocks_for(sums.size), kThreads, 0, ctx.stream()>>>(
      parts, chunks, sums, shift_gradient, scale_gradient);
  cuda_check(cudaGetLastError(), "launch batch_norm's sums");
}

/// A block 32 columns of kStrands rows at a time, so that a thread keeps its unit's moments.
__global__ void __launch_bounds__(32 * kStrands) normalize_kernel(BatchNormArgs args) {
  const std::int64_t h = std::int64_t{blockIdx.x} * 32 + threadIdx.x;
  if (h >= args.x.cols) return;
  const Moments at = args.sums.size ? moments_of(args.sums, args.input[StepInput::rows], h)
                                    : Moments{static_cast<double>(args.mean[h]),
                                              static_cast<double>(args.variance[h])};
  const float mean = static_cast<float>(at.mean);
  const float inverse =
      static_cast<float>(1 / sqrt(at.variance + static_cast<double>(args.epsilon)));
  if (blockIdx.y == 0 && threadIdx.y == 0) args.inverse[h] = inverse;
  const float scale = args.scale[h], shift = args.shift[h];
  for (std::int64_t b = std::int64_t{blockIdx.y} * kStrands + threadIdx.y; b < args.x.rows;
       b += std::int64_t{gridDim.y} * kStrands) {
    const float n = args.x(b, h) = (args.x(b, h) - mean) * inverse;
    const float y = scale * n + shift;
    if (args.kept.data) args.kept(b, h) = y;
    args.out(b, h) = activate(args.activation, y);
  }
}

__global__ void __launch_bounds__(32 * kStrands) gradient_kernel(BatchNormGradientArgs args) {
  const std::int64_t h = std::int64_t{blockIdx.x} * 32 + threadIdx.x, units = args.gradient.cols;
  if (h >= units) return;
  const double rows = args.input[StepInput::rows];
  const float mean = static_cast<float>(args.sums[h] / rows);
  const float along = static_cast<float>(args.sums[units + h] / rows);
  const float factor = args.scale[h] * args.inverse[h];
  for (std::int64_t b = std::int64_t{blockIdx.y} * kStrands + threadIdx.y; b < args.gradient.rows;
       b += std::int64_t{gridDim.y} * kStrands)
    args.gradient(b, h) = factor * (args.gradient(b, h) - mean - args.normalized(b, h) * along);
}

__global__ void __launch_bounds__(kThreads) track_kernel(BatchNormTrackArgs args) {
  const std::int64_t h = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (h >= args.mean.size || !applies(args.state)) return;
  const double rows = args.input[StepInput::rows], part = static_cast<double>(args.momentum);
  const Moments at = moments_of(args.sums, rows, h);
  const double unbiased = rows > 1 ? at.variance * rows / (rows - 1) : at.variance;
  args.mean[h] = static_cast<float>((1 - part) * args.mean[h] + part * at.mean);
  args.variance[h] = static_cast<float>((1 - part) * args.variance[h] + part * unbiased);
}

dim3 grid_of(MatrixView<const float> m) {
  return {static_cast<unsigned>(ceil_div<std::int64_t>(m.cols, 32)),
          static_cast<unsigned>(
              std::clamp<std::int64_t>(ceil_div<std::int64_t>(m.rows, 4 * kStrands), 1, 1024))};
}
}  // namespace

void batch_norm_sums(const Context& ctx, const BatchNormSumsArgs& args) {
  if (args.sums.size) add_columns(ctx, args.x, {}, args.sums, {}, {});
}

void batch_norm_gradient_sums(const Context& ctx, const BatchNormGradientSumsArgs& args) {
  if (args.sums.size)
    add_columns(ctx, args.gradient, args.normalized, args.sums, args.shift_gradient,
                args.scale_gradient);
}

void batch_norm(const Context& ctx, const BatchNormArgs& args) {
  normalize_kernel<<<grid_of(args.x), dim3(32, kStrands), 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch batch_norm");
}

void batch_norm_gradient(const Context& ctx, const BatchNormGradientArgs& args) {
  gradient_kernel<<<grid_of(args.gradient), dim3(32, kStrands), 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch batch_norm_gradient");
}

void batch_norm_track(const Context& ctx, const BatchNormTrackArgs& args) {
  track_kernel<<<blocks_for(args.mean.size), kThreads, 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch batch_norm_track");
}

}  // namespace gradmill::cuda
