// What a step of training does with its gradient, decided on the device.
#pragma once

#include "kernels/step_state.h"
#include "runtime/check.h"

namespace gradmill {

/// From the sum of losses and the gradient of a step, both of all ranks and multiplied by the loss scale (the
/// loss is not): norm = |gradient|; finite if both are. state (StepState) then says
///   finite     applies = 1, scale = min(1, clip / norm) / loss scale (clip 0: no limit); one more step is made;
///              loss and weight are added to the epoch's
///   otherwise  applies = 0, and the step is counted: as an overflow if only the gradient is not finite and there is
///              a loss scale to lower (dynamic), else as skipped, or, if `stop`, as the failure that ends the run.
/// dynamic (Micikevicius et al., "Mixed precision training", ICLR'18): the loss scale is halved by an overflow,
/// never below 1, and doubled after kLossScaleCalm steps without one.
/// Shapes   gradients [P]; more: vectors whose first count[0] each values are in use (count without data: all);
///          loss_parts [2]: added; input [StepInput::count]; state, report [StepState::count]: report gets a
///          copy, and may be pinned host memory; ticket [1]: 0 before and after.
/// Bytes    4 P + what is in use of `more`.     Order  fixed chunks of 4096.
struct StepControlArgs {
  struct Part {
    VectorView<const float> values;
    VectorView<const std::int64_t> count;
    std::int64_t each = 1;
    bool counts = true;  // in the norm; else it only must be finite
  };
  static constexpr int kParts = 3;
  Part parts[kParts];  // the gradient, and more
  VectorView<const float> loss_parts;
  VectorView<const double> input;
  float clip = 0;
  float beta1 = 0, beta2 = 0;
  bool stop = false, dynamic = false;
  VectorView<double> state;
  VectorView<double> report;
  VectorView<std::int32_t> ticket;

  static constexpr Tolerance tolerance{1e-5, 1e-7};
  template <class V>
  void visit(V& v) {
    for (Part& part : parts) {
      v.in("values", part.values);
      v.in("count", part.count);
    }
    v.in("loss_parts", loss_parts);
    v.in("input", input);
    v.out("state", state);
    v.scratch("report", report);
    v.scratch("ticket", ticket);
  }
};
inline constexpr double kLossScaleCalm = 2000, kMostLossScale = 16777216;

void step_control(const Context& ctx, const StepControlArgs& args);
namespace cpu {
void step_control(const Context& ctx, const StepControlArgs& args);
}
namespace cuda {
void step_control(const Context& ctx, const StepControlArgs& args);
}

/// The numbers of a part that are in use.
GRADMILL_HD inline std::int64_t used(const StepControlArgs::Part& part) {
  return part.count.size ? part.count[0] * part.each : part.values.size;
}

/// `squares`: the sum over all parts. Once for both devices.
GRADMILL_HD inline void decide_step(const StepControlArgs& args, double squares) {
  double* s = args.state.data;
  const double scale = loss_scale_of(s), norm = std::sqrt(squares) / scale;
  const double loss = static_cast<double>(args.loss_parts[0]) + args.loss_parts[1];
  const bool finite_loss = std::isfinite(loss), finite = finite_loss && std::isfinite(norm);
  const bool goes = finite && s[StepState::failed] == 0;
  s[StepState::norm] = norm;
  s[StepState::applies] = goes ? 1 : 0;
  s[StepState::rate] = args.input[StepInput::rate];
  if (goes) {
    s[StepState::loss] += loss;
    s[StepState::weight] += args.input[StepInput::weight];
    const double made = s[StepState::made] += 1;
    const double clip = static_cast<double>(args.clip);
    s[StepState::scale] = (clip > 0 && norm > clip ? clip / norm : 1.0) / scale;
    s[StepState::unbias1] = 1 / (1 - std::pow(static_cast<double>(args.beta1), made));
    s[StepState::unbias2] = 1 / (1 - std::pow(static_cast<double>(args.beta2), made));
    if (args.dynamic && (s[StepState::calm] += 1) >= kLossScaleCalm) {
      s[StepState::loss_scale] = std::fmin(2 * scale, kMostLossScale);
      s[StepState::calm] = 0;
    }
  } else if (args.dynamic && finite_loss && scale > 1 && s[StepState::failed] == 0) {
    s[StepState::overflowed] += 1;
    s[StepState::loss_scale] = scale / 2;
    s[StepState::calm] = 0;
  } else if (!args.stop) {
    s[StepState::skipped] += 1;
  } else if (s[StepState::failed] == 0) {
    s[StepState::failed] = args.input[StepInput::step] + 1;
    s[StepState::failed_loss] = loss;
    s[StepState::failed_norm] = norm;
  }
  for (std::int64_t i = 0; i < args.report.size; ++i) args.report[i] = s[i];
}

}  // namespace gradmill
