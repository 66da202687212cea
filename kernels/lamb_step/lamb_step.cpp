#include "kernels/lamb_step/lamb_step.h"

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
/// |w|^2 and |r|^2 of a chunk, whose moments get their step.
struct Squares {
  double w = 0, r = 0;
};

Squares advance(const LambStepArgs& args, const OptimizerStep& o, const LambChunk& chunk) {
  const OptimizerStepArgs& s = args.step;
  float *m = s.slots.data, *v = m + s.values.size;
  const float scale = gradient_scale(s.state);
  Squares sums;
  for (std::int64_t e = chunk.begin; e < chunk.end; ++e) {
    if (lamb_frozen(args, e)) continue;
    const float g = scale * s.gradients[e], w = s.values[e];
    m[e] = o.beta1 * m[e] + (1 - o.beta1) * g;
    v[e] = o.beta2 * v[e] + (1 - o.beta2) * g * g;
    const float r = lamb_direction(o, e < s.penalized, m[e], v[e], w);
    sums.w += double{w} * w;
    sums.r += double{r} * r;
  }
  return sums;
}

void apply(const LambStepArgs& args, const OptimizerStep& o, const LambChunk& chunk, float ratio) {
  const OptimizerStepArgs& s = args.step;
  const float *m = s.slots.data, *v = m + s.values.size;
  for (std::int64_t e = chunk.begin; e < chunk.end; ++e) {
    if (!lamb_frozen(args, e))
      s.values[e] -= o.rate * ratio * lamb_direction(o, e < s.penalized, m[e], v[e], s.values[e]);
    if (s.averages.size)
      s.averages[e] = s.average_decay * s.averages[e] + (1 - s.average_decay) * s.values[e];
  }
}
}  // namespace

void cpu::lamb_step(const Context& ctx, const LambStepArgs& args) {
  if (!applies(args.step.state)) return;
  const OptimizerStep o = with_state(args.step.optimizer, args.step.state);
  Workspace::Scope scratch(ctx);
  Squares* sums = scratch.take<Squares>(args.num_chunks).data;
  ctx.threads().parallel_for(args.num_chunks, 4, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c = begin; c < end; ++c) sums[c] = advance(args, o, lamb_chunk(args, c));
  });
  ctx.threads().parallel_for(args.num_chunks, 4, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c = begin; c < end; ++c) {
      const LambChunk chunk = lamb_chunk(args, c);
      Squares all;
      for (std::int64_t i = args.chunks[chunk.tensor]; i < args.chunks[chunk.tensor + 1]; ++i)
        all.w += sums[i].w, all.r += sums[i].r;
      const bool adapts = chunk.begin < args.step.penalized;
      apply(args, o, chunk, adapts ? lamb_ratio(all.w, all.r) : 1.0f);
    }
  });
}

void lamb_step(const Context& ctx, const LambStepArgs& args) {
  const OptimizerStepArgs& s = args.step;
  const std::int64_t size = s.values.size;
  require(s.gradients.size == size && s.slots.size == 2 * size &&
              (s.averages.size == 0 || s.averages.size == size),
          "lamb_step: {} values, {} gradients, {} slots, {} averages", size, s.gradients.size,
          s.slots.size, s.averages.size);
  require(args.first.size == args.chunks.size && args.first.size > 0,
          "lamb_step: {} beginnings, {} counts of chunks", args.first.size, args.chunks.size);
  if (size == 0) return;
  run_kernel(ctx, "lamb_step", args, cpu::lamb_step,
             [](const auto& c, const auto& a) { cuda::lamb_step(c, a); });
}

}  // namespace gradmill
