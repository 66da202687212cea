#include <algorithm>

#include "kernels/block_sum.cuh"
#include "kernels/linear_pass/row_losses.cuh"
#include "kernels/sample_losses/sample_losses.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256, kWarps = kThreads / kWarp;
constexpr std::int64_t kMostBlocks = 1024;

__device__ double point_row(const SampleLossesArgs& args, const Targets& targets, float scale,
                            std::int64_t row) {
  const float weight = targets.weight(row);
  double sum = 0;
  for (std::int64_t c = 0; c < args.margins.cols; ++c) {
    const float target = args.targets.data ? args.targets(row, c) : targets.labels[row];
    const PointLoss at = point_loss(args.loss_kind, args.margins(row, c), target);
    sum += at.value;
    if (args.slopes.data) args.slopes(row, c) = scale * weight * at.slope;
  }
  return weight * sum;
}

/// The block that comes last adds up what all blocks have left, in their order.
__device__ void add_parts(const SampleLossesArgs& args, double sum, double* partial) {
  sum = block_sum<kThreads>(sum);
  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    is_last = atomicAdd(args.ticket.data, 1) == static_cast<int>(gridDim.x) - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  double mine = 0;
  for (unsigned p = threadIdx.x; p < gridDim.x; p += kThreads)
    mine += *static_cast<volatile const double*>(partial + p);
  mine = block_sum<kThreads>(mine);
  if (threadIdx.x != 0) return;
  args.ticket[0] = 0;
  put_loss(args, mine);
}

/// A thread for each row; partial [blocks].
__global__ void __launch_bounds__(kThreads)
    point_losses_kernel(SampleLossesArgs args, Targets targets, double* partial) {
  const float scale = slope_scale(args);
  double sum = 0;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
       row < args.margins.rows; row += std::int64_t{gridDim.x} * kThreads)
    sum += point_row(args, targets, scale, row);
  add_parts(args, sum, partial);
}

/// A warp for each row; scores [rows, C]: the slopes, or scratch.
__global__ void __launch_bounds__(kThreads)
    class_losses_kernel(SampleLossesArgs args, Targets targets, MatrixView<float> scores,
                        double* partial) {
  const int lane = threadIdx.x % kWarp;
  const float scale = slope_scale(args);
  double sum = 0;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
       row < args.margins.rows; row += std::int64_t{gridDim.x} * kWarps) {
    if (scores.data != args.margins.data)
      for (std::int64_t c = lane; c < args.margins.cols; c += kWarp)
        scores(row, c) = args.margins(row, c);
    __syncwarp();
    sum += class_losses(targets, row, args.margins.cols, scale, scores.row(row), nullptr);
  }
  add_parts(args, lane == 0 ? sum : 0.0, partial);
}
}  // namespace

void sample_losses(const Context& ctx, const SampleLossesArgs& args) {
  const std::int64_t rows = args.margins.rows, outputs = args.margins.cols;
  const bool by_class = outputs > 1 && !args.targets.data;
  const auto blocks = static_cast<unsigned>(
      std::min(kMostBlocks, ceil_div<std::int64_t>(rows, by_class ? kWarps : kThreads)));
  const Targets targets{args.labels, args.weights, args.loss_kind};
  Workspace::Scope scratch(ctx);
  double* partial = scratch.take<double>(blocks).data;
  if (by_class) {
    MatrixView<float> scores = args.slopes;
    if (!scores.data)
      scores = {scratch.take<float>(rows * outputs).data, rows, outputs, outputs, ctx.device()};
    class_losses_kernel<<<blocks, kThreads, 0, ctx.stream()>>>(args, targets, scores, partial);
  } else {
    point_losses_kernel<<<blocks, kThreads, 0, ctx.stream()>>>(args, targets, partial);
  }
  cuda_check(cudaGetLastError(), "launch sample_losses");
}

}  // namespace gradmill::cuda
