#include <algorithm>
#include <limits>

#include "kernels/top_k/top_k.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kScoreBytes = std::int64_t{256} << 20;

__device__ bool better(float a, std::int32_t i, float b, std::int32_t j) {
  return a > b || (a == b && i < j);
}

/// A block per query: its scores, then the best one `count` times.
__global__ void top_k_kernel(TopKArgs args, std::int64_t first, float* all_scores) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  __shared__ float best_score[kThreads];
  __shared__ std::int32_t best_item[kThreads];
  const std::int64_t q = first + blockIdx.x;
  const auto items = static_cast<std::int32_t>(args.items.rows);
  float* scores = all_scores + std::int64_t{blockIdx.x} * items;
  for (std::int32_t i = threadIdx.x; i < items; i += kThreads) {
    float score = args.item_biases.size ? args.item_biases[i] : 0.0f;
    for (std::int64_t f = 0; f < args.items.cols; ++f)
      score += args.queries(q, f) * args.items(i, f);
    scores[i] = score;
  }
  __syncthreads();
  if (args.excluded.rows)
    for (std::int64_t e = args.excluded.offsets[q] + threadIdx.x; e < args.excluded.offsets[q + 1];
         e += kThreads)
      scores[args.excluded.indices[e]] = kNever;
  __syncthreads();
  for (std::int32_t c = 0; c < args.count; ++c) {
    float score = kNever;
    std::int32_t item = -1;
    for (std::int32_t i = threadIdx.x; i < items; i += kThreads)
      if (scores[i] > score) score = scores[i], item = i;
    best_score[threadIdx.x] = score;
    best_item[threadIdx.x] = item;
    for (int half = kThreads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (threadIdx.x >= half) continue;
      const int other = threadIdx.x + half;
      if (better(best_score[other], best_item[other], best_score[threadIdx.x],
                 best_item[threadIdx.x])) {
        best_score[threadIdx.x] = best_score[other];
        best_item[threadIdx.x] = best_item[other];
      }
    }
    if (threadIdx.x == 0) {
      const std::int32_t best = best_score[0] == kNever ? -1 : best_item[0];
      args.out_items(q, c) = best;
      args.out_scores(q, c) = best_score[0];
      if (best >= 0) scores[best] = kNever;
    }
    __syncthreads();
  }
}
}  // namespace

void top_k(const Context& ctx, const TopKArgs& args) {
  if (args.queries.rows == 0) return;
  Workspace::Scope scratch(ctx);
  const std::int64_t items = std::max<std::int64_t>(args.items.rows, 1);
  const std::int64_t tile =
      std::min(args.queries.rows, std::max<std::int64_t>(1, kScoreBytes / (4 * items)));
  float* scores = scratch.take<float>(tile * items).data;
  for (std::int64_t first = 0; first < args.queries.rows; first += tile) {
    const auto blocks = static_cast<unsigned>(std::min(tile, args.queries.rows - first));
    top_k_kernel<<<blocks, kThreads, 0, ctx.stream()>>>(args, first, scores);
    cuda_check(cudaGetLastError(), "launch top_k");
  }
}

}  // namespace gradmill::cuda
