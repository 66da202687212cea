// One step of an optimizer over a flat buffer of parameters: one launch for all tensors.
#pragma once

#include "kernels/step_state.h"
#include "runtime/check.h"

namespace gradmill {

/// For every element e, unless its group of kFrozenGroup elements is frozen: g = scale * gradients[e];
///   optimizer_update(optimizer, penalized(e) ? {l1, l2} : {0, 0}, g, 1, rate, values[e], slots[e], slots[P + e]);
/// and for all: averages[e] = average_decay averages[e] + (1 - average_decay) values[e], if it has data.
/// The first `penalized` elements (weights) carry the penalty, those behind (biases, norms) do not.
/// With a state (StepState) its numbers of the step are used, and nothing changes unless it says so; without
/// one the scale is 1.
/// Shapes   values, gradients, averages [P]; slots [S P]; frozen [P / kFrozenGroup, rounded up] or empty;
///          state [StepState::count] or empty.
/// Bytes    4 P (3 + 2 S) (+ 8 P).
struct OptimizerStepArgs {
  OptimizerStep optimizer;
  VectorView<const double> state;
  std::int64_t penalized = 0;
  VectorView<const std::uint8_t> frozen;
  VectorView<const float> gradients;
  VectorView<float> values;
  VectorView<float> slots;
  VectorView<float> averages;
  float average_decay = 0;

  static constexpr Tolerance tolerance{1e-4, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("state", state);
    v.in("frozen", frozen);
    v.in("gradients", gradients);
    v.out("values", values);
    v.out("slots", slots);
    v.out("averages", averages);
  }
};
inline constexpr std::int64_t kFrozenGroup = 16;

void optimizer_step(const Context& ctx, const OptimizerStepArgs& args);
namespace cpu {
void optimizer_step(const Context& ctx, const OptimizerStepArgs& args);
}
namespace cuda {
void optimizer_step(const Context& ctx, const OptimizerStepArgs& args);
}

}  // namespace gradmill
