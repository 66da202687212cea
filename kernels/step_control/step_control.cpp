#include "kernels/step_control/step_control.h"

#include <algorithm>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunk = 4096;

double squares_of(const Context& ctx, const float* values, std::int64_t size) {
  const std::int64_t chunks = (size + kChunk - 1) / kChunk;
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(chunks).data;
  ctx.threads().parallel_for(chunks, 4, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c = begin; c < end; ++c) {
      double sum = 0;
      for (std::int64_t e = c * kChunk; e < std::min(size, (c + 1) * kChunk); ++e)
        sum += double{values[e]} * values[e];
      sums[c] = sum;
    }
  });
  double total = 0;
  for (std::int64_t c = 0; c < chunks; ++c) total += sums[c];
  return total;
}
}  // namespace

void cpu::step_control(const Context& ctx, const StepControlArgs& args) {
  double squares = 0;
  for (const StepControlArgs::Part& part : args.parts)
    squares += (part.counts ? 1.0 : 0.0) * squares_of(ctx, part.values.data, used(part));
  decide_step(args, squares);
}

void step_control(const Context& ctx, const StepControlArgs& args) {
  require(args.loss_parts.size == 2 && args.input.size == StepInput::count &&
              args.state.size == StepState::count && args.ticket.size == 1 &&
              (args.report.size == 0 || args.report.size == StepState::count),
          "step_control: {} parts of a loss, {} inputs, {} numbers of state", args.loss_parts.size,
          args.input.size, args.state.size);
  run_kernel(ctx, "step_control", args, cpu::step_control,
             [](const auto& c, const auto& a) { cuda::step_control(c, a); });
}

}  // namespace gradmill
