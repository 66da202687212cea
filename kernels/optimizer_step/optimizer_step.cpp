#include "kernels/optimizer_step/optimizer_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunk = 4096;

std::int64_t chunks_of(std::int64_t size) { return (size + kChunk - 1) / kChunk; }

/// One chunk with the kind of optimizer known to the compiler, so that the loop becomes vectors.
template <OptimizerKind kKind>
void update_chunk(const OptimizerStepArgs& args, Penalty penalty, std::int64_t first,
                  std::int64_t last) {
  OptimizerStep o = with_state(args.optimizer, args.state);
  o.kind = kKind;
  const float scale = gradient_scale(args.state);
  const int slots = optimizer_slots(kKind, o.momentum);
  float unused = 0;
  float* const slot0 = slots > 0 ? args.slots.data : nullptr;
  float* const slot1 = slots > 1 ? args.slots.data + args.values.size : nullptr;
  const float* const gradients = args.gradients.data;
  float* const values = args.values.data;
#pragma GCC ivdep
  for (std::int64_t e = first; e < last; ++e)
    optimizer_update(o, penalty, scale * gradients[e], 1, o.rate, values[e],
                     slot0 ? slot0[e] : unused, slot1 ? slot1[e] : unused);
}

void update(const OptimizerStepArgs& args, Penalty penalty, std::int64_t first, std::int64_t last) {
  switch (args.optimizer.kind) {
    case OptimizerKind::sgd:
      return update_chunk<OptimizerKind::sgd>(args, penalty, first, last);
    case OptimizerKind::adagrad:
      return update_chunk<OptimizerKind::adagrad>(args, penalty, first, last);
    case OptimizerKind::adam:
      return update_chunk<OptimizerKind::adam>(args, penalty, first, last);
    case OptimizerKind::adamw:
      return update_chunk<OptimizerKind::adamw>(args, penalty, first, last);
    case OptimizerKind::ftrl:
      return update_chunk<OptimizerKind::ftrl>(args, penalty, first, last);
  }
}
}  // namespace

void cpu::optimizer_step(const Context& ctx, const OptimizerStepArgs& args) {
  if (!applies(args.state)) return;
  const std::int64_t size = args.values.size;
  const Penalty penalty{args.optimizer.l1, args.optimizer.l2};
  const auto frozen = [&](std::int64_t e) {
    return args.frozen.size && args.frozen[e / kFrozenGroup] != 0;
  };
  ctx.threads().parallel_for(chunks_of(size), 4, [&](std::int64_t begin, std::int64_t end, int) {
    // Cut where the penalty ends and where frozen elements begin and end.
    std::int64_t at = begin * kChunk;
    const std::int64_t last = std::min(size, end * kChunk);
    while (at < last) {
      std::int64_t stop = at < args.penalized ? std::min(last, args.penalized) : last;
      if (args.frozen.size) {
        const std::int64_t most = stop;
        stop = at;
        do stop = std::min(most, (stop / kFrozenGroup + 1) * kFrozenGroup);
        while (stop < most && frozen(stop) == frozen(at));
      }
      if (!frozen(at)) update(args, at < args.penalized ? penalty : Penalty{0, 0}, at, stop);
      at = stop;
    }
    if (args.averages.size)
      for (std::int64_t e = begin * kChunk; e < last; ++e)
        args.averages[e] =
            args.average_decay * args.averages[e] + (1 - args.average_decay) * args.values[e];
  });
}

void optimizer_step(const Context& ctx, const OptimizerStepArgs& args) {
  const std::int64_t size = args.values.size;
  const int slots = optimizer_slots(args.optimizer.kind, args.optimizer.momentum);
  require(args.gradients.size == size && args.slots.size == slots * size,
          "optimizer_step: {} values, {} gradients, {} slots of {} kinds", size,
          args.gradients.size, args.slots.size, slots);
  require(args.averages.size == 0 || args.averages.size == size,
          "optimizer_step: {} values, {} averages", size, args.averages.size);
  require(args.frozen.size == 0 || args.frozen.size == (size + kFrozenGroup - 1) / kFrozenGroup,
          "optimizer_step: {} values, {} frozen groups", size, args.frozen.size);
  if (size == 0) return;
  run_kernel(ctx, "optimizer_step", args, cpu::optimizer_step,
             [](const auto& c, const auto& a) { cuda::optimizer_step(c, a); });
}

}  // namespace gradmill
