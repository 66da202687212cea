// One step of an optimizer over a flat buffer of parameters: one launch for all tensors.
#pragma once

#include "kernels/optimizers.h"
#include "runtime/check.h"

namespace gradmill {

/// For every element: g = gradient_scale[0] * gradients[e];
///   optimizer_update(optimizer, penalized(e) ? {l1, l2} : {0, 0}, g, 1, rate, values[e], slots[e], slots[P + e]);
///   averages[e] = average_decay averages[e] + (1 - average_decay) values[e], if it has data.
/// The first `penalized` elements (weights) carry the penalty, those behind (biases, norms) do not;
/// elements [frozen_first, frozen_last) stay as they are.
/// Shapes   values, gradients, averages [P]; slots [S P]; gradient_scale [1] on the device: clipping without
///          a synchronization (1 where there is none).
/// Bytes    4 P (3 + 2 S) (+ 8 P).
struct OptimizerStepArgs {
  OptimizerStep optimizer;
  std::int64_t penalized = 0, frozen_first = 0, frozen_last = 0;
  VectorView<const float> gradients;
  VectorView<const float> gradient_scale;
  VectorView<float> values;
  VectorView<float> slots;
  VectorView<float> averages;
  float average_decay = 0;

  static constexpr Tolerance tolerance{1e-4, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("gradients", gradients);
    v.in("gradient_scale", gradient_scale);
    v.out("values", values);
    v.out("slots", slots);
    v.out("averages", averages);
  }
};
void optimizer_step(const Context& ctx, const OptimizerStepArgs& args);

/// scale[0] = min(1, limit / |gradients|), 1 where limit is 0; norm[0] = |gradients|, of which a value that is
/// not finite makes scale[0] 0 and finite[0] 0 (else 1).
/// Shapes   gradients [P]; scale, finite [1]; norm [1].     Order  fixed chunks of 4096.
struct ClipScaleArgs {
  VectorView<const float> gradients;
  float limit = 0;
  VectorView<float> scale;
  VectorView<float> finite;
  VectorView<double> norm;

  static constexpr Tolerance tolerance{1e-4, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("gradients", gradients);
    v.out("scale", scale);
    v.out("finite", finite);
    v.out("norm", norm);
  }
};
void clip_scale(const Context& ctx, const ClipScaleArgs& args);
namespace cpu {
void optimizer_step(const Context& ctx, const OptimizerStepArgs& args);
void clip_scale(const Context& ctx, const ClipScaleArgs& args);
}  // namespace cpu
namespace cuda {
void optimizer_step(const Context& ctx, const OptimizerStepArgs& args);
void clip_scale(const Context& ctx, const ClipScaleArgs& args);
}  // namespace cuda

}  // namespace gradmill
