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

__device__ void add_parts(const SampleLossesArgs& args, double sum, double* partial) {
  double total = 0;
  if (grid_sum<kThreads>(sum, partial, args.ticket.data, total)) put_loss(args, total);
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
