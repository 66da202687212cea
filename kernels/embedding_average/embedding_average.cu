#include <algorithm>

#include "kernels/embedding_average/embedding_average.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;

/// A warp a row.
__global__ void __launch_bounds__(kThreads) average_kernel(EmbeddingAverageArgs args) {
  const bool all = args.count.size == 0;
  if (!all && !applies(args.state)) return;
  const std::int32_t goal = average_goal(args);
  const std::int64_t rows = all ? args.table.rows : args.count[0];
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t u = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp; u < rows;
       u += std::int64_t{gridDim.x} * (kThreads / kWarp)) {
    const std::int64_t row = all ? u : args.ids[u];
    const std::int32_t gap = goal - args.at[row];
    __syncwarp();
    if (lane == 0) args.at[row] = goal;
    if (gap <= 0) continue;
    const float keep = powf(args.decay, static_cast<float>(gap));
    for (std::int64_t k = lane; k < args.table.cols; k += kWarp)
      args.averages(row, k) = keep * args.averages(row, k) + (1 - keep) * args.table(row, k);
  }
}
}  // namespace

void embedding_average(const Context& ctx, const EmbeddingAverageArgs& args) {
  const std::int64_t rows = args.count.size ? args.ids.size : args.table.rows;
  const auto blocks = static_cast<unsigned>(
      std::min<std::int64_t>(ceil_div<std::int64_t>(rows * kWarp, kThreads), 65535));
  average_kernel<<<blocks, kThreads, 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch embedding_average");
}

}  // namespace gradmill::cuda
