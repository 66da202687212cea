// Best items for each query row: scores and selection in one pass, no score matrix in memory.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// For each query q: the `count` items with the largest <queries[q], items[i]> + item_biases[i], best
/// first; equal scores: the smaller item first. Items in row q of `excluded` never appear. If fewer
/// items are left, the rest of the row is item -1 with score -inf.
/// Shapes   queries [Q, k]; items [I, k]; item_biases [I] or empty; excluded [Q, I] CSR (values unused,
///          indices ascending within a row) or rows == 0; out_items, out_scores [Q, count].
/// Range    1 <= count <= 1024.
/// Bytes    4 k (Q + I * ceil(Q / tile)) + 8 Q count.     FLOPs  2 k Q I.
struct TopKArgs {
  MatrixView<const float> queries;
  MatrixView<const float> items;
  VectorView<const float> item_biases;
  CsrView<const float> excluded;
  std::int32_t count = 10;
  MatrixView<std::int32_t> out_items;
  MatrixView<float> out_scores;

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    v.in("queries", queries);
    v.in("items", items);
    v.in("item_biases", item_biases);
    v.in("excluded", excluded);
    v.scratch("out_items", out_items);  // rounding may swap neighbours
    v.out("out_scores", out_scores);
  }
};
void top_k(const Context& ctx, const TopKArgs& args);
namespace cpu {
void top_k(const Context& ctx, const TopKArgs& args);
}
namespace cuda {
void top_k(const Context& ctx, const TopKArgs& args);
}

}  // namespace gradmill
