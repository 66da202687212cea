// Losses of a batch of predictions and their slopes.
#pragma once

#include "kernels/losses.h"
#include "kernels/step_state.h"
#include "runtime/check.h"

namespace gradmill {

/// loss[0] = [loss[0] if accumulate] + sum_i s_i L(margins[i], labels[i]);
/// slopes[i, c] = scale s_i dL/dmargin[i, c], of a step (input, state: StepInput, StepState) also times the loss
/// scale and divided by the weight of the step.
/// loss_parts[0] + loss_parts[1] = loss[0], for sums over ranks in single precision.
/// C = 1: a point loss; softmax: labels are classes; C > 1 with another loss: targets [N, C] instead of labels,
/// one point loss each (multi-output), or one against the rest if there are no targets.
/// Shapes   margins [N, C]; labels [N] or targets [N, C]; weights [N] or empty; slopes [N, C] or no data.
///          slopes may be the margins; input [StepInput::count], state [StepState::count], loss_parts [2] or
///          empty; ticket [1]: 0 before and after.
/// Bytes    8 N C + 4 N (8 with weights).     Order  fixed chunks of rows.
struct SampleLossesArgs {
  MatrixView<const float> margins;
  VectorView<const float> labels;
  MatrixView<const float> targets;
  VectorView<const float> weights;
  Loss loss_kind;
  float scale = 1;
  VectorView<const double> input, state;
  bool accumulate = true;
  MatrixView<float> slopes;
  VectorView<double> loss;
  VectorView<float> loss_parts;
  VectorView<std::int32_t> ticket;

  static constexpr Tolerance tolerance{1e-3, 1e-5};
  template <class V>
  void visit(V& v) {
    v.in("margins", margins);
    v.in("labels", labels);
    v.in("targets", targets);
    v.in("weights", weights);
    v.in("input", input);
    v.in("state", state);
    v.out("slopes", slopes);
    v.out("loss", loss);
    v.scratch("loss_parts", loss_parts);  // the second one is a rest of rounding
    v.scratch("ticket", ticket);
  }
};
void sample_losses(const Context& ctx, const SampleLossesArgs& args);

GRADMILL_HD inline float slope_scale(const SampleLossesArgs& args) {
  if (args.input.size == 0) return args.scale;
  return static_cast<float>(args.scale * loss_scale_of(args.state.data) /
                            args.input[StepInput::weight]);
}
GRADMILL_HD inline void put_loss(const SampleLossesArgs& args, double sum) {
  const double loss = args.loss[0] = (args.accumulate ? args.loss[0] : 0.0) + sum;
  if (args.loss_parts.size == 0) return;
  const auto high = static_cast<float>(loss);
  args.loss_parts[0] = high;
  args.loss_parts[1] =
      std::isfinite(high) ? static_cast<float>(loss - static_cast<double>(high)) : 0.0f;
}

namespace cpu {
void sample_losses(const Context& ctx, const SampleLossesArgs& args);
}
namespace cuda {
void sample_losses(const Context& ctx, const SampleLossesArgs& args);
}

}  // namespace gradmill
