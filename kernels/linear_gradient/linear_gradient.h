// Loss and gradient of a linear model, summed over samples: one pass over the data.
#pragma once

#include "kernels/losses.h"
#include "kernels/sample_matrix.h"
#include "runtime/check.h"

namespace gradmill {

/// With margins m[i, c] = <x_i, coefficients[c]> + intercepts[c] and sample weights s_i:
///   loss += sum_i s_i L(m_i, y_i);   slopes[i, c] = s_i dL/dm[i, c];
///   gradient[c] = sum_i slopes[i, c] x_i;   intercept_gradient[c] = sum_i slopes[i, c].
/// C = 1: a point loss of labels[i]. C > 1, softmax: labels[i] is a class 0 .. C - 1. C > 1, another loss:
/// one model a class against the rest, with the label 1 where labels[i] == c, else 0.
/// Shapes   matrix [N, n]; labels [N]; weights [N] or empty; coefficients [C, n]; intercepts [C];
///          loss [1]; gradient [C, n]; intercept_gradient [C]; slopes [N, C];
///          curvatures [N, C] or no data: s_i d2L/dm[i, c]^2, for softmax the probabilities.
/// Effects  overwrites all outputs (loss too).
/// Bytes    CPU, sparse: 8 nnz + gathers and scatters of 4 C nnz; CUDA: 16 nnz (rows, then columns)
///          + 8 N C + 8 C n written. Without values half of it.       FLOPs  4 C nnz.
/// Order    CPU: fixed blocks of samples, so bits do not depend on threads. CUDA: rows, then columns (which
///          must be there), fixed chunks; no atomics.
struct LinearGradientArgs {
  SampleMatrix matrix;
  VectorView<const float> labels;
  VectorView<const float> weights;
  Loss loss_kind;
  MatrixView<const float> coefficients;
  VectorView<const float> intercepts;
  VectorView<double> loss;
  MatrixView<double> gradient;
  VectorView<double> intercept_gradient;
  MatrixView<float> slopes;
  MatrixView<float> curvatures;

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    v.in("labels", labels);
    v.in("weights", weights);
    v.in("coefficients", coefficients);
    v.in("intercepts", intercepts);
    v.out("loss", loss);
    v.out("gradient", gradient);
    v.out("intercept_gradient", intercept_gradient);
    v.out("slopes", slopes);
    v.out("curvatures", curvatures);
  }
};
void linear_gradient(const Context& ctx, const LinearGradientArgs& args);
namespace cpu {
void linear_gradient(const Context& ctx, const LinearGradientArgs& args);
}
namespace cuda {
void linear_gradient(const Context& ctx, const LinearGradientArgs& args);
}

}  // namespace gradmill
