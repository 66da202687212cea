// Losses in double precision, for steps near a minimum: single precision hides what they gain.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/losses.h"
#include "runtime/context.h"

namespace gradmill {

struct LossTargets {
  std::span<const float> labels, weights;  // weights: of all samples, or empty: all 1
  std::int64_t own_class = -1;  // one class against the rest; -1: labels above 0 are positive
};

/// Sum of weighted losses (logistic, squared or squared hinge) at margins [labels], one a sample; by blocks that
/// are added in order.
double precise_loss(const Context& ctx, const Loss& loss, const LossTargets& targets,
                    const double* margins);

}  // namespace gradmill
