// Gram matrix of a factor table.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// G = scale * YᵀY, the full symmetric matrix.
/// Shapes   factors [n, k] with row stride >= k; gram [k, k]. n may be 0 (G = 0).
/// Effects  overwrites gram; enqueued on ctx's stream.
/// Bytes    reads 4 n k, writes 4 k^2.     FLOPs  n k (k + 1) (lower triangle).
/// Order    CPU: fixed row blocks summed in order, so bits do not depend on the thread count.
///          CUDA: fixed grid, no atomics.
/// Source   Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM'08, sec. 4.
struct GramArgs {
  MatrixView<const float> factors;
  float scale = 1;
  MatrixView<float> gram;

  static constexpr Tolerance tolerance{1e-4, 1e-3};
  template <class V>
  void visit(V& v) {
    v.in("factors", factors);
    v.out("gram", gram);
  }
};
void gram(const Context& ctx, const GramArgs& args);
namespace cpu {
void gram(const Context& ctx, const GramArgs& args);
}
namespace cuda {
void gram(const Context& ctx, const GramArgs& args);
}

}  // namespace gradmill
