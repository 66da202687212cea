#include <algorithm>

#include "kernels/block_sum.cuh"
#include "kernels/step_control/step_control.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kChunk = 4096;

/// A block a chunk; first_block: of each part.
struct Blocks {
  std::int64_t first[StepControlArgs::kParts + 1];
};

__global__ void __launch_bounds__(kThreads)
    step_control_kernel(StepControlArgs args, Blocks blocks, double* partial) {
  int p = 0;
  while (blockIdx.x >= blocks.first[p + 1]) ++p;
  const StepControlArgs::Part& part = args.parts[p];
  const std::int64_t first = (blockIdx.x - blocks.first[p]) * kChunk;
  const std::int64_t last = min(used(part), first + kChunk);
  double sum = 0;
  for (std::int64_t e = first + threadIdx.x; e < last; e += kThreads)
    sum += static_cast<double>(part.values[e]) * part.values[e];
  // 0 times what is not finite is not finite: it is seen in parts that do not count, too.
  const double counted = (part.counts ? 1.0 : 0.0) * sum;
  double total = 0;
  if (grid_sum<kThreads>(counted, partial, args.ticket.data, total)) decide_step(args, total);
}
}  // namespace

void step_control(const Context& ctx, const StepControlArgs& args) {
  Blocks blocks{};
  for (int p = 0; p < StepControlArgs::kParts; ++p)
    blocks.first[p + 1] = blocks.first[p] + (args.parts[p].values.size + kChunk - 1) / kChunk;
  std::int64_t& all = blocks.first[StepControlArgs::kParts];
  all = std::max<std::int64_t>(all, 1);  // without any value there is still something to decide
  Workspace::Scope scratch(ctx);
  double* partial = scratch.take<double>(all).data;
  step_control_kernel<<<static_cast<unsigned>(all), kThreads, 0, ctx.stream()>>>(args, blocks,
                                                                                 partial);
  cuda_check(cudaGetLastError(), "launch step_control");
}

}  // namespace gradmill::cuda
