// Raw scores of samples under a linear model.
#pragma once

#include "kernels/sample_matrix.h"
#include "runtime/check.h"

namespace gradmill {

/// margins[i, c] = <x_i, coefficients[c]> + intercepts[c]
/// Shapes   matrix [N, n]; coefficients [C, n], row stride >= n; intercepts [C]; margins [N, C].
///          Indices beyond n do not occur; N may be 0.
/// Bytes    sparse: 8 nnz (4 without values) + 8 N + gathers of 4 C nnz + 4 C N written; dense: 4 N n.
/// FLOPs    2 C nnz (dense: 2 C N n).
/// Order    CPU: fixed by the row alone. CUDA: by the row and where its entries lie; sparse rows are cut into
///          pieces of 4096 steps over entries and ends of rows, whatever their lengths.
struct LinearMarginsArgs {
  SampleMatrix matrix;
  MatrixView<const float> coefficients;
  VectorView<const float> intercepts;
  MatrixView<float> margins;

  static constexpr Tolerance tolerance{1e-4, 1e-4};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    v.in("coefficients", coefficients);
    v.in("intercepts", intercepts);
    v.out("margins", margins);
  }
};
void linear_margins(const Context& ctx, const LinearMarginsArgs& args);
namespace cpu {
void linear_margins(const Context& ctx, const LinearMarginsArgs& args);
}
namespace cuda {
void linear_margins(const Context& ctx, const LinearMarginsArgs& args);
}

}  // namespace gradmill
