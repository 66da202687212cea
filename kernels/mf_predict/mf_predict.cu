#include <algorithm>

#include "kernels/mf_predict/mf_predict.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr int kPairsPerBlock = 1024;  // fixed: the order of the sums

/// A warp per pair; each block adds its pairs' errors up in order and leaves one partial sum.
__global__ void mf_predict_kernel(MfPredictArgs args, double* partial) {
  __shared__ double warp_sums[kThreads / kWarp][3];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const std::int64_t first = std::int64_t{blockIdx.x} * kPairsPerBlock;
  const std::int64_t last = min(first + kPairsPerBlock, args.user_ids.size);
  double sums[3] = {};
  for (std::int64_t b = first + warp; b < last; b += kThreads / kWarp) {
    const std::int32_t u = args.user_ids[b], i = args.item_ids[b];
    float dot = 0;
    if (u >= 0 && i >= 0)
      for (std::int64_t f = lane; f < args.users.cols; f += kWarp)
        dot += args.users(u, f) * args.items(i, f);
    float p = args.offset;
    if (u >= 0 && args.user_biases.size) p += args.user_biases[u];
    if (i >= 0 && args.item_biases.size) p += args.item_biases[i];
    p = fminf(fmaxf(p + lane_sum(dot), args.low), args.high);
    if (lane == 0 && args.predictions.size) args.predictions[b] = p;
    if (!args.values.size) continue;
    const double w = args.weights.size ? args.weights[b] : 1.0,
                 error = static_cast<double>(args.values[b]) - p;
    sums[0] += w;
    sums[1] += w * error * error;
    sums[2] += w * fabs(error);
  }
  if (!partial) return;
  if (lane < 3) warp_sums[warp][lane] = sums[lane];
  __syncthreads();
  if (threadIdx.x >= 3) return;
  double sum = 0;
  for (auto& s : warp_sums) sum += s[threadIdx.x];
  partial[std::int64_t{blockIdx.x} * 3 + threadIdx.x] = sum;
}

__global__ void add_partial_kernel(const double* partial, std::int64_t count, double* sums) {
  double sum = 0;
  for (std::int64_t b = 0; b < count; ++b) sum += partial[b * 3 + threadIdx.x];
  sums[threadIdx.x] += sum;
}
}  // namespace

void mf_predict(const Context& ctx, const MfPredictArgs& args) {
  if (args.user_ids.size == 0) return;
  const std::int64_t blocks = ceil_div<std::int64_t>(args.user_ids.size, kPairsPerBlock);
  Workspace::Scope scratch(ctx);
  double* partial = args.values.size ? scratch.take<double>(3 * blocks).data : nullptr;
  mf_predict_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, ctx.stream()>>>(args, partial);
  cuda_check(cudaGetLastError(), "launch mf_predict");
  if (!partial) return;
  add_partial_kernel<<<1, 3, 0, ctx.stream()>>>(partial, blocks, args.error_sums.data);
  cuda_check(cudaGetLastError(), "launch mf_predict's sums");
}

}  // namespace gradmill::cuda
