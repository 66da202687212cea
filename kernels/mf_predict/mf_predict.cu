#include <algorithm>

#include "kernels/mf_predict/mf_predict.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPairs = 512;  // a block's; fixed, so that the order of the sums is

struct ErrorSums {
  double weight = 0, squared = 0, absolute = 0;
};

/// Sum over a block in an order that depends on nothing; valid in thread 0. All threads take part.
__device__ ErrorSums block_sum(ErrorSums mine) {
  __shared__ ErrorSums warps[kThreads / kWarp];
  mine = {lane_sum(mine.weight), lane_sum(mine.squared), lane_sum(mine.absolute)};
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = mine;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int w = 1; w < kThreads / kWarp; ++w) {
      mine.weight += warps[w].weight;
      mine.squared += warps[w].squared;
      mine.absolute += warps[w].absolute;
    }
  return mine;
}

/// <p, q> over `lanes` consecutive lanes (a power of two), each with its own 16 bytes of every
/// 16 * lanes; valid in all of them. Nothing beyond k is read: padding may hold anything.
__device__ float dot(const float* p, const float* q, int k, int lanes, bool vector) {
  float sum = 0;
  for (int f = static_cast<int>(threadIdx.x & (lanes - 1)) * 4; f < k; f += lanes * 4)
    sum += dot4(load4(p, f, k, vector), load4(q, f, k, vector));
  for (int half = lanes / 2; half > 0; half /= 2) sum += __shfl_xor_sync(kAllLanes, sum, half);
  return sum;
}

/// Three passes over a block's pairs: ids into shared memory, then a group of lanes for each pair's
/// dot product, then a thread for each pair's biases, prediction and error, so that everything but
/// the factor rows and biases is read and written in order.
__global__ void __launch_bounds__(kThreads)
    mf_predict_kernel(MfPredictArgs args, int lanes, bool vector, ErrorSums* partial) {
  __shared__ std::int32_t users[kPairs], items[kPairs];
  __shared__ float dots[kPairs];
  const std::int64_t first = std::int64_t{blockIdx.x} * kPairs;
  const int pairs = static_cast<int>(min(std::int64_t{kPairs}, args.user_ids.size - first));
  for (int b = threadIdx.x; b < pairs; b += kThreads) {
    users[b] = args.user_ids[first + b];
    items[b] = args.item_ids[first + b];
  }
  __syncthreads();
  const int k = static_cast<int>(args.users.cols), groups = kThreads / lanes;
  for (int b = threadIdx.x / lanes; b < kPairs; b += groups) {  // whole warps: shuffles
    const bool known = b < pairs && users[b] >= 0 && items[b] >= 0;
    const float sum = dot(known ? args.users.row(users[b]) : nullptr,
                          known ? args.items.row(items[b]) : nullptr, known ? k : 0, lanes, vector);
    if ((threadIdx.x & (lanes - 1)) == 0) dots[b] = sum;
  }
  __syncthreads();
  ErrorSums errors;
  for (int b = threadIdx.x; b < pairs; b += kThreads) {
    const std::int32_t u = users[b], i = items[b];
    float sum = args.offset;
    if (u >= 0 && args.user_biases.size) sum += args.user_biases[u];
    if (i >= 0 && args.item_biases.size) sum += args.item_biases[i];
    const float prediction = fminf(fmaxf(sum + dots[b], args.low), args.high);
    if (args.predictions.size) args.predictions[first + b] = prediction;
    if (!args.values.size) continue;
    const double weight = args.weights.size ? args.weights[first + b] : 1.0,
                 error = static_cast<double>(args.values[first + b]) - prediction;
    errors.weight += weight;
    errors.squared += weight * error * error;
    errors.absolute += weight * fabs(error);
  }
  if (!partial) return;
  errors = block_sum(errors);
  if (threadIdx.x == 0) partial[blockIdx.x] = errors;
}

__global__ void __launch_bounds__(kThreads)
    mf_predict_sum_kernel(const ErrorSums* partial, std::int64_t count, double* sums) {
  ErrorSums mine;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) {
    mine.weight += partial[i].weight;
    mine.squared += partial[i].squared;
    mine.absolute += partial[i].absolute;
  }
  mine = block_sum(mine);
  if (threadIdx.x != 0) return;
  sums[0] += mine.weight;
  sums[1] += mine.squared;
  sums[2] += mine.absolute;
}

/// Lanes that share a pair: 16 bytes of its row each, at most a warp.
int lanes_per_pair(std::int64_t k) {
  int lanes = 1;
  while (lanes < kWarp && lanes * 4 < k) lanes *= 2;
  return lanes;
}

}  // namespace

void mf_predict(const Context& ctx, const MfPredictArgs& args) {
  if (args.user_ids.size == 0) return;
  const std::int64_t blocks = ceil_div<std::int64_t>(args.user_ids.size, kPairs);
  Workspace::Scope scratch(ctx);
  ErrorSums* partial = args.values.size ? scratch.take<ErrorSums>(blocks).data : nullptr;
  const bool vector = has_vector_rows(args.users.data, args.users.stride) &&
                      has_vector_rows(args.items.data, args.items.stride);
  mf_predict_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, ctx.stream()>>>(
      args, lanes_per_pair(args.users.cols), vector, partial);
  cuda_check(cudaGetLastError(), "launch mf_predict");
  if (!partial) return;
  mf_predict_sum_kernel<<<1, kThreads, 0, ctx.stream()>>>(partial, blocks, args.error_sums.data);
  cuda_check(cudaGetLastError(), "launch mf_predict's sums");
}

}  // namespace gradmill::cuda
