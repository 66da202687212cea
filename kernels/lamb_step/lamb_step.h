// One step of LAMB over a flat buffer of tensors.
#pragma once

#include "kernels/optimizer_step/optimizer_step.h"

namespace gradmill {

/// For each element e of tensor t, with g = scale gradients[e]:
///   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2;
///   r = unbias1 m / (sqrt(unbias2 v) + epsilon) + l2 w;   w -= rate ratio_t r;
///   ratio_t = |w_t| / |r_t|, 1 if either is 0;
/// l2 and ratios other than 1 are the penalized tensors' only (weights, not biases and norms). Frozen groups stay
/// as they are and count nothing. averages as in OptimizerStepArgs, whose state is the same, too.
/// Shapes   values, gradients, averages [P]; slots [2 P]: m, v; first [T + 1]: where tensors begin, ascending, from 0
///          to P, each a multiple of kFrozenGroup; chunks [T + 1]: in how many chunks of kLambChunk elements the tensors
///          before it are cut, each tensor by itself.
/// Bytes    4 P (5 + 4) (+ 8 P).     Order  norms by chunks in their order.
/// Source   You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR'20,
///          algorithm 2 (with the identity for phi).
struct LambStepArgs {
  OptimizerStepArgs step;
  VectorView<const std::int64_t> first, chunks;
  std::int64_t num_chunks = 0;  // chunks[T], which the host knows

  static constexpr Tolerance tolerance{1e-4, 1e-6};
  template <class V>
  void visit(V& v) {
    step.visit(v);
    v.in("first", first);
    v.in("chunks", chunks);
  }
};
inline constexpr std::int64_t kLambChunk = 2048;

void lamb_step(const Context& ctx, const LambStepArgs& args);
namespace cpu {
void lamb_step(const Context& ctx, const LambStepArgs& args);
}
namespace cuda {
void lamb_step(const Context& ctx, const LambStepArgs& args);
}

/// The elements of chunk c.
struct LambChunk {
  std::int64_t tensor, begin, end;
};
GRADMILL_HD inline LambChunk lamb_chunk(const LambStepArgs& args, std::int64_t c) {
  std::int64_t low = 0, high = args.first.size - 1;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (args.chunks[middle] <= c ? low : high) = middle;
  }
  const std::int64_t begin = args.first[low] + (c - args.chunks[low]) * kLambChunk;
  const std::int64_t end = begin + kLambChunk;
  return {low, begin, end < args.first[low + 1] ? end : args.first[low + 1]};
}

GRADMILL_HD inline bool lamb_frozen(const LambStepArgs& args, std::int64_t e) {
  return args.step.frozen.size && args.step.frozen[e / kFrozenGroup] != 0;
}

/// r of element e, from its new moments.
GRADMILL_HD inline float lamb_direction(const OptimizerStep& o, bool penalized, float m, float v,
                                        float w) {
  return m * o.unbias1 * inverse_root(v * o.unbias2, o.epsilon) + (penalized ? o.l2 * w : 0.0f);
}

GRADMILL_HD inline float lamb_ratio(double squares_w, double squares_r) {
  if (!(squares_w > 0) || !(squares_r > 0)) return 1;
  return static_cast<float>(std::sqrt(squares_w / squares_r));
}

}  // namespace gradmill
