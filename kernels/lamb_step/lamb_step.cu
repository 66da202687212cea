#include "kernels/block_sum.cuh"
#include "kernels/lamb_step/lamb_step.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;

/// A block a chunk: its moments, and |w|^2 and |r|^2 of it into sums [chunks, 2].
__global__ void __launch_bounds__(kThreads) moments_kernel(LambStepArgs args, double* sums) {
  const OptimizerStepArgs& s = args.step;
  if (!applies(s.state)) return;
  const OptimizerStep o = with_state(s.optimizer, s.state);
  const float scale = gradient_scale(s.state);
  const LambChunk chunk = lamb_chunk(args, blockIdx.x);
  float *m = s.slots.data, *v = m + s.values.size;
  double squares_w = 0, squares_r = 0;
  for (std::int64_t e = chunk.begin + threadIdx.x; e < chunk.end; e += kThreads) {
    if (lamb_frozen(args, e)) continue;
    const float g = scale * s.gradients[e], w = s.values[e];
    const float first = m[e] = o.beta1 * m[e] + (1 - o.beta1) * g;
    const float second = v[e] = o.beta2 * v[e] + (1 - o.beta2) * g * g;
    const float r = lamb_direction(o, e < s.penalized, first, second, w);
    squares_w += static_cast<double>(w) * w;
    squares_r += static_cast<double>(r) * r;
  }
  squares_w = block_sum<kThreads>(squares_w);
  squares_r = block_sum<kThreads>(squares_r);
  if (threadIdx.x != 0) return;
  sums[2 * blockIdx.x] = squares_w;
  sums[2 * blockIdx.x + 1] = squares_r;
}

__global__ void __launch_bounds__(kThreads) values_kernel(LambStepArgs args, const double* sums) {
  const OptimizerStepArgs& s = args.step;
  if (!applies(s.state)) return;
  const OptimizerStep o = with_state(s.optimizer, s.state);
  const LambChunk chunk = lamb_chunk(args, blockIdx.x);
  __shared__ float shared_ratio;
  double squares_w = 0, squares_r = 0;
  for (std::int64_t c = args.chunks[chunk.tensor] + threadIdx.x; c < args.chunks[chunk.tensor + 1];
       c += kThreads) {
    squares_w += sums[2 * c];
    squares_r += sums[2 * c + 1];
  }
  squares_w = block_sum<kThreads>(squares_w);
  squares_r = block_sum<kThreads>(squares_r);
  if (threadIdx.x == 0)
    shared_ratio = chunk.begin < s.penalized ? lamb_ratio(squares_w, squares_r) : 1.0f;
  __syncthreads();
  const float ratio = shared_ratio;
  const float *m = s.slots.data, *v = m + s.values.size;
  for (std::int64_t e = chunk.begin + threadIdx.x; e < chunk.end; e += kThreads) {
    float w = s.values[e];
    if (!lamb_frozen(args, e)) {
      w -= o.rate * ratio * lamb_direction(o, e < s.penalized, m[e], v[e], w);
      s.values[e] = w;
    }
    if (s.averages.size)
      s.averages[e] = s.average_decay * s.averages[e] + (1 - s.average_decay) * w;
  }
}
}  // namespace

void lamb_step(const Context& ctx, const LambStepArgs& args) {
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(2 * args.num_chunks).data;
  const auto blocks = static_cast<unsigned>(args.num_chunks);
  moments_kernel<<<blocks, kThreads, 0, ctx.stream()>>>(args, sums);
  cuda_check(cudaGetLastError(), "launch lamb_step's moments");
  values_kernel<<<blocks, kThreads, 0, ctx.stream()>>>(args, sums);
  cuda_check(cudaGetLastError(), "launch lamb_step");
}

}  // namespace gradmill::cuda
