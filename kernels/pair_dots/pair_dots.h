// Products of all pairs of a sample's vectors: the interaction of features in recommendation models.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// out[b, p] = <x_i, x_j>, x_i = vectors[b, i K .. (i + 1) K), for the pairs i < j in order of j, then i:
/// p = j (j - 1) / 2 + i.
/// Shapes   vectors [B, n K]; out [B, n (n - 1) / 2].     Bytes  4 B (n K + n (n - 1) / 2).
/// FLOPs    B K n (n - 1).     Order  of k.
/// Source   Naumov et al., "Deep learning recommendation model for personalization and recommendation systems",
///          arXiv 1906.00091.
struct PairDotsArgs {
  std::int64_t dim = 1;  // K
  MatrixView<const float> vectors;
  MatrixView<float> out;

  static constexpr Tolerance tolerance{1e-4, 1e-5};
  template <class V>
  void visit(V& v) {
    v.in("vectors", vectors);
    v.out("out", out);
  }
};
void pair_dots(const Context& ctx, const PairDotsArgs& args);

/// gradient[b, i K + k] += sum over j != i of slopes[b, p(i, j)] vectors[b, j K + k], slopes = dL/dout.
/// Shapes   gradient [B, n K].     Bytes  4 B (3 n K + n (n - 1) / 2).     FLOPs  2 B K n (n - 1).
struct PairDotsGradientArgs {
  std::int64_t dim = 1;
  MatrixView<const float> vectors;
  MatrixView<const float> slopes;
  MatrixView<float> gradient;

  static constexpr Tolerance tolerance{1e-4, 1e-5};
  template <class V>
  void visit(V& v) {
    v.in("vectors", vectors);
    v.in("slopes", slopes);
    v.out("gradient", gradient);
  }
};
void pair_dots_gradient(const Context& ctx, const PairDotsGradientArgs& args);

GRADMILL_HD constexpr std::int64_t num_pairs(std::int64_t n) { return n * (n - 1) / 2; }
GRADMILL_HD inline std::int64_t pair_place(std::int64_t i, std::int64_t j) {
  return i < j ? j * (j - 1) / 2 + i : i * (i - 1) / 2 + j;
}

namespace cpu {
void pair_dots(const Context& ctx, const PairDotsArgs& args);
void pair_dots_gradient(const Context& ctx, const PairDotsGradientArgs& args);
}  // namespace cpu
namespace cuda {
void pair_dots(const Context& ctx, const PairDotsArgs& args);
void pair_dots_gradient(const Context& ctx, const PairDotsGradientArgs& args);
}  // namespace cuda

}  // namespace gradmill
