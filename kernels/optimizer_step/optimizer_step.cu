#include <algorithm>

#include "kernels/optimizer_step/optimizer_step.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 4096;

template <OptimizerKind kKind>
__global__ void __launch_bounds__(kThreads) step_kernel(OptimizerStepArgs args, int slots) {
  if (!applies(args.state)) return;
  OptimizerStep o = with_state(args.optimizer, args.state);
  o.kind = kKind;
  const std::int64_t size = args.values.size;
  const float scale = gradient_scale(args.state);
  for (std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; e < size;
       e += std::int64_t{gridDim.x} * kThreads) {
    float w = args.values[e];
    if (!args.frozen.size || args.frozen[e / kFrozenGroup] == 0) {
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

}  // namespace gradmill::cuda
