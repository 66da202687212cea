// Operands of layer_norm and its gradient.
#pragma once

#include "kernels/layer_norm/layer_norm.h"
#include "tests/support/gemm_problem.h"

namespace gradmill::testing {

struct LayerNormProblem {
  LayerNormProblem(std::int64_t rows, std::int64_t units)
      : rows(rows),
        units(units),
        x(rows, units, 1),
        kept(rows, units, 2),
        out(rows, units, 3),
        gradient(rows, units, 4),
        scale(1, units, 5),
        shift(1, units, 6),
        scale_gradient(1, units, 7),
        shift_gradient(1, units, 8),
        inverse(static_cast<std::size_t>(rows), 0.0f) {
    for (float& v : x.values) v = 3 * v + 2;  // a mean that is not 0
  }
  static VectorView<float> first_row(PaddedMatrix& m) { return {m.values.data(), m.cols, {}}; }
  LayerNormArgs args(Activation activation, bool keeps = true) {
    LayerNormArgs a;
    a.x = x.view();
    a.scale = first_row(scale);
    a.shift = first_row(shift);
    a.activation = activation;
    if (keeps) a.kept = kept.view();
    a.out = out.view();
    a.inverse = {inverse.data(), rows, {}};
    return a;
  }
  LayerNormGradientArgs gradient_args(bool accumulate) {
    LayerNormGradientArgs a;
    a.normalized = x.view();
    a.scale = first_row(scale);
    a.inverse = {inverse.data(), rows, {}};
    a.accumulate = accumulate;
    a.gradient = gradient.view();
    a.scale_gradient = first_row(scale_gradient);
    a.shift_gradient = first_row(shift_gradient);
    return a;
  }
  std::int64_t rows, units;
  PaddedMatrix x, kept, out, gradient, scale, shift, scale_gradient, shift_gradient;
  std::vector<float> inverse;
};

}  // namespace gradmill::testing
