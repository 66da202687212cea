#include <algorithm>

#include "kernels/block_sum.cuh"
#include "kernels/optimizer_step/optimizer_step.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kChunk = 4096, kMostBlocks = 4096;

template <OptimizerKind kKind>
__global__ void __launch_bounds__(kThreads) step_kernel(OptimizerStepArgs args, int slots) {
  OptimizerStep o = args.optimizer;
  o.kind = kKind;
  const std::int64_t size = args.values.size;
  const float scale = args.gradient_scale.size ? args.gradient_scale[0] : 1.0f;
  for (std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; e < size;
       e += std::int64_t{gridDim.x} * kThreads) {
    float w = args.values[e];
    if (e < args.frozen_first || e >= args.frozen_last) {
      const Penalty penalty = e < args.penalized ? Penalty{o.l1, o.l2} : Penalty{0, 0};
      float slot0 = slots > 0 ? args.slots[e] : 0.0f;
      float slot1 = slots > 1 ? args.slots[size + e] : 0.0f;
      optimizer_update(o, penalty, scale * args.gradients[e], 1, o.rate, w, slot0, slot1);
      args.values[e] = w;
      if (slots > 0) args.slots[e] = slot0;
      if (slots > 1) args.slots[size + e] = slot1;
    }
    if (args.averages.size)
      args.averages[e] = args.average_decay * args.averages[e] + (1 - args.average_decay) * w;
  }
}

__global__ void __launch_bounds__(kThreads)
    squares_kernel(VectorView<const float> values, double* partial) {
  const std::int64_t first = blockIdx.x * kChunk, last = min(values.size, first + kChunk);
  double sum = 0;
  for (std::int64_t e = first + threadIdx.x; e < last; e += kThreads)
    sum += static_cast<double>(values[e]) * values[e];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    clip_kernel(const double* partial, std::int64_t parts, ClipScaleArgs args) {
  double sum = 0;
  for (std::int64_t p = threadIdx.x; p < parts; p += kThreads) sum += partial[p];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x != 0) return;
  const double norm = args.norm[0] = sqrt(sum);
  const bool finite = isfinite(norm);
  args.finite[0] = finite ? 1.0f : 0.0f;
  args.scale[0] = !finite                               ? 0.0f
                  : args.limit > 0 && norm > args.limit ? static_cast<float>(args.limit / norm)
                                                        : 1.0f;
}

template <OptimizerKind kKind>
void launch(const Context& ctx, const OptimizerStepArgs& args) {
  const auto blocks = static_cast<unsigned>(
      std::min(kMostBlocks, ceil_div<std::int64_t>(args.values.size, kThreads)));
  step_kernel<kKind><<<blocks, kThreads, 0, ctx.stream()>>>(
      args, optimizer_slots(kKind, args.optimizer.momentum));
  cuda_check(cudaGetLastError(), "launch optimizer_step");
}
}  // namespace

void optimizer_step(const Context& ctx, const OptimizerStepArgs& args) {
  switch (args.optimizer.kind) {
    case OptimizerKind::sgd:
      return launch<OptimizerKind::sgd>(ctx, args);
    case OptimizerKind::adagrad:
      return launch<OptimizerKind::adagrad>(ctx, args);
    case OptimizerKind::adam:
      return launch<OptimizerKind::adam>(ctx, args);
    case OptimizerKind::adamw:
      return launch<OptimizerKind::adamw>(ctx, args);
    case OptimizerKind::ftrl:
      return launch<OptimizerKind::ftrl>(ctx, args);
  }
}

void clip_scale(const Context& ctx, const ClipScaleArgs& args) {
  const std::int64_t parts = ceil_div<std::int64_t>(args.gradients.size, kChunk);
  Workspace::Scope scratch(ctx);
  double* partial = scratch.take<double>(std::max<std::int64_t>(parts, 1)).data;
  if (parts) {
    squares_kernel<<<static_cast<unsigned>(parts), kThreads, 0, ctx.stream()>>>(args.gradients,
                                                                                partial);
    cuda_check(cudaGetLastError(), "launch clip_scale's squares");
  }
  clip_kernel<<<1, kThreads, 0, ctx.stream()>>>(partial, parts, args);
  cuda_check(cudaGetLastError(), "launch clip_scale");
}

}  // namespace gradmill::cuda
