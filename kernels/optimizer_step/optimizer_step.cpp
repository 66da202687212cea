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
  OptimizerStep o = args.optimizer;
  o.kind = kKind;
  const float scale = args.gradient_scale.size ? args.gradient_scale[0] : 1.0f;
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
  const std::int64_t size = args.values.size;
  const Penalty penalty{args.optimizer.l1, args.optimizer.l2};
  ctx.threads().parallel_for(chunks_of(size), 4, [&](std::int64_t begin, std::int64_t end, int) {
    // Cut where the penalty ends and where frozen elements begin and end.
    std::int64_t at = begin * kChunk;
    const std::int64_t last = std::min(size, end * kChunk);
    while (at < last) {
      std::int64_t stop = last;
      for (const std::int64_t cut : {args.penalized, args.frozen_first, args.frozen_last})
        if (cut > at) stop = std::min(stop, cut);
      if (at < args.frozen_first || at >= args.frozen_last)
        update(args, at < args.penalized ? penalty : Penalty{0, 0}, at, stop);
      at = stop;
    }
    if (args.averages.size)
      for (std::int64_t e = begin * kChunk; e < last; ++e)
        args.averages[e] =
            args.average_decay * args.averages[e] + (1 - args.average_decay) * args.values[e];
  });
}

void cpu::clip_scale(const Context& ctx, const ClipScaleArgs& args) {
  const std::int64_t size = args.gradients.size, chunks = chunks_of(size);
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(chunks).data;
  ctx.threads().parallel_for(chunks, 4, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c = begin; c < end; ++c) {
      double sum = 0;
      for (std::int64_t e = c * kChunk; e < std::min(size, (c + 1) * kChunk); ++e)
        sum += double{args.gradients[e]} * args.gradients[e];
      sums[c] = sum;
    }
  });
  double total = 0;
  for (std::int64_t c = 0; c < chunks; ++c) total += sums[c];
  const double norm = args.norm[0] = std::sqrt(total);
  const bool finite = std::isfinite(norm);
  args.finite[0] = finite ? 1.0f : 0.0f;
  args.scale[0] = !finite                               ? 0.0f
                  : args.limit > 0 && norm > args.limit ? static_cast<float>(args.limit / norm)
                                                        : 1.0f;
}

void optimizer_step(const Context& ctx, const OptimizerStepArgs& args) {
  const std::int64_t size = args.values.size;
  const int slots = optimizer_slots(args.optimizer.kind, args.optimizer.momentum);
  require(args.gradients.size == size && args.slots.size == slots * size,
          "optimizer_step: {} values, {} gradients, {} slots of {} kinds", size,
          args.gradients.size, args.slots.size, slots);
  require(args.averages.size == 0 || args.averages.size == size,
          "optimizer_step: {} values, {} averages", size, args.averages.size);
  if (size == 0) return;
  run_kernel(ctx, "optimizer_step", args, cpu::optimizer_step,
             [](const auto& c, const auto& a) { cuda::optimizer_step(c, a); });
}

void clip_scale(const Context& ctx, const ClipScaleArgs& args) {
  require(args.scale.size == 1 && args.finite.size == 1 && args.norm.size == 1,
          "clip_scale: results are single numbers");
  run_kernel(ctx, "clip_scale", args, cpu::clip_scale,
             [](const auto& c, const auto& a) { cuda::clip_scale(c, a); });
}

}  // namespace gradmill
