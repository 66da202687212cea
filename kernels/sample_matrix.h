// The design matrix of a linear model as its kernels read it: sparse or dense rows of samples.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace gradmill {

/// X [samples, features]. Either dense, or sparse rows with, for the products with X transposed, the same
/// entries by column. Values may be null: every entry is 1.
struct SampleMatrix {
  CsrView<const float> rows;      // [samples, features]
  CsrView<const float> columns;   // [features, samples]: X transposed; no offsets: absent
  MatrixView<const float> dense;  // [samples, features]; no data: sparse
  bool is_dense() const { return dense.data != nullptr; }
  std::int64_t samples() const { return is_dense() ? dense.rows : rows.rows; }
  std::int64_t features() const { return is_dense() ? dense.cols : rows.cols; }
  /// Names the views for `--device check` (runtime/check.h).
  template <class V>
  void visit(V& v) {
    if (is_dense()) return v.in("dense", dense);
    v.in("rows", rows);
    if (columns.offsets) v.in("columns", columns);
  }
};

}  // namespace gradmill
