// Losses of a batch of predictions and their slopes.
#pragma once

#include "kernels/losses.h"
#include "runtime/check.h"

namespace gradmill {

/// loss[0] += sum_i s_i L(margins[i], labels[i]);   slopes[i, c] = scale s_i dL/dmargin[i, c].
/// C = 1: a point loss; softmax: labels are classes; C > 1 with another loss: targets [N, C] instead of labels,
/// one point loss each (multi-output), or one against the rest if there are no targets.
/// Shapes   margins [N, C]; labels [N] or targets [N, C]; weights [N] or empty; slopes [N, C] or no data.
///          slopes may be the margins.
/// Bytes    8 N C + 4 N (8 with weights).     Order  fixed chunks of rows.
struct SampleLossesArgs {
  MatrixView<const float> margins;
  VectorView<const float> labels;
  MatrixView<const float> targets;
  VectorView<const float> weights;
  Loss loss_kind;
  float scale = 1;
  MatrixView<float> slopes;
  VectorView<double> loss;

  static constexpr Tolerance tolerance{1e-3, 1e-5};
  template <class V>
  void visit(V& v) {
    v.in("margins", margins);
    v.in("labels", labels);
    v.in("targets", targets);
    v.in("weights", weights);
    v.out("slopes", slopes);
    v.out("loss", loss);
  }
};
void sample_losses(const Context& ctx, const SampleLossesArgs& args);
namespace cpu {
void sample_losses(const Context& ctx, const SampleLossesArgs& args);
}
namespace cuda {
void sample_losses(const Context& ctx, const SampleLossesArgs& args);
}

}  // namespace gradmill
