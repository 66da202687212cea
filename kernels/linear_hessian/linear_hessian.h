// Hessian of a linear model's loss times a vector, summed over samples: one pass over the data.
#pragma once

#include "kernels/losses.h"
#include "kernels/sample_matrix.h"
#include "runtime/check.h"

namespace gradmill {

/// With u[i, c] = <x_i, direction[c]> + intercept_direction[c]:
///   point losses  t[i, c] = curvatures[i, c] u[i, c];
///   softmax       t[i, c] = s_i p[i, c] (u[i, c] - sum_k p[i, k] u[i, k]),  p = curvatures;
///   product[c] = sum_i t[i, c] x_i;   intercept_product[c] = sum_i t[i, c].
/// curvatures are those that linear_gradient gave at the point.
/// Shapes   as in LinearGradientArgs; direction [C, n]; product [C, n]; scratch [N, C].
/// Bytes, FLOPs, order: as linear_gradient.
struct LinearHessianArgs {
  SampleMatrix matrix;
  VectorView<const float> weights;  // softmax; may be empty
  Loss loss_kind;
  MatrixView<const float> curvatures;
  MatrixView<const float> direction;
  VectorView<const float> intercept_direction;
  MatrixView<double> product;
  VectorView<double> intercept_product;
  MatrixView<float> scratch;

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    v.in("weights", weights);
    v.in("curvatures", curvatures);
    v.in("direction", direction);
    v.in("intercept_direction", intercept_direction);
    v.out("product", product);
    v.out("intercept_product", intercept_product);
    v.scratch("scratch", scratch);
  }
};
void linear_hessian(const Context& ctx, const LinearHessianArgs& args);
namespace cpu {
void linear_hessian(const Context& ctx, const LinearHessianArgs& args);
}
namespace cuda {
void linear_hessian(const Context& ctx, const LinearHessianArgs& args);
}

}  // namespace gradmill
