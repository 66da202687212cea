// Numbers of a training step that live on the device, so that no step waits for the host: what the host says before
// the step, and what the device decides. Double precision: counters are exact to 2^53.
#pragma once

#include <cmath>

#include "kernels/optimizers.h"
#include "runtime/view.h"

namespace gradmill {

/// From the host, one array a step.
struct StepInput {
  enum : int {
    rate,    // learning rate
    weight,  // of the samples of all ranks
    step,    // in the run, for dropout
    rows,    // of all ranks
    count
  };
};

/// Kept on the device from step to step.
struct StepState {
  enum : int {
    // Of the epoch: the host sets these to 0 at its beginning.
    loss,    // sum over its finite steps
    weight,  // of their samples
    // Of the run, and part of a checkpoint.
    made,        // steps that changed parameters
    skipped,     // steps with a loss or gradient that was not finite
    overflowed,  // steps of half precision whose loss scale was too large
    loss_scale,  // what slopes are multiplied by; 0: 1
    calm,        // steps since it changed
    // Of the last step.
    norm,     // of the gradient
    applies,  // 1, or 0: nothing changes
    scale,    // what gradients are multiplied by
    unbias1,  // 1 / (1 - beta^steps)
    unbias2,
    rate,
    // Of the first step that was not finite, where that ends the run: nothing changes any more.
    failed,  // its number + 1, or 0
    failed_loss,
    failed_norm,
    count
  };
};
inline constexpr std::int64_t kStepStateKept = StepState::norm;  // numbers of a checkpoint

GRADMILL_HD inline double loss_scale_of(const double* state) {
  return state[StepState::loss_scale] > 0 ? state[StepState::loss_scale] : 1.0;
}

/// Of the step that is being made. `o` as it is if there is no state.
GRADMILL_HD inline OptimizerStep with_state(OptimizerStep o, VectorView<const double> state) {
  if (state.size == 0) return o;
  o.rate = static_cast<float>(state[StepState::rate]);
  o.unbias1 = static_cast<float>(state[StepState::unbias1]);
  o.unbias2 = static_cast<float>(state[StepState::unbias2]);
  o.steps = static_cast<float>(state[StepState::made]);
  return o;
}
GRADMILL_HD inline bool applies(VectorView<const double> state) {
  return state.size == 0 || state[StepState::applies] != 0;
}
GRADMILL_HD inline float gradient_scale(VectorView<const double> state) {
  return state.size == 0 ? 1.0f : static_cast<float>(state[StepState::scale]);
}

}  // namespace gradmill
