// Diagonal of a linear model's Hessian, summed over samples: the preconditioner of Newton-CG.
#pragma once

#include "kernels/losses.h"
#include "kernels/sample_matrix.h"
#include "runtime/check.h"

namespace gradmill {

/// diagonal[c, j] = sum_i t[i, c] x[i, j]^2;   intercept_diagonal[c] = sum_i t[i, c], with
///   point losses  t[i, c] = curvatures[i, c];      softmax  t[i, c] = s_i p (1 - p),  p = curvatures[i, c].
/// Shapes   matrix [N, n]; weights [N] or empty (softmax only); curvatures [N, C]; diagonal [C, n].
/// Effects  overwrites both.
/// Bytes    8 nnz (4 without values) + 4 C N + 8 C n; CUDA reads the columns.     FLOPs  3 C nnz.
/// Order    as linear_gradient.
struct LinearDiagonalArgs {
  SampleMatrix matrix;
  VectorView<const float> weights;
  Loss loss_kind;
  MatrixView<const float> curvatures;
  MatrixView<double> diagonal;
  VectorView<double> intercept_diagonal;

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    v.in("weights", weights);
    v.in("curvatures", curvatures);
    v.out("diagonal", diagonal);
    v.out("intercept_diagonal", intercept_diagonal);
  }
};
void linear_diagonal(const Context& ctx, const LinearDiagonalArgs& args);
namespace cpu {
void linear_diagonal(const Context& ctx, const LinearDiagonalArgs& args);
}
namespace cuda {
void linear_diagonal(const Context& ctx, const LinearDiagonalArgs& args);
}

}  // namespace gradmill
