// Rows of a table by a list: taken out, or put back.
#pragma once

#include <cstdint>

#include "runtime/check.h"

namespace gradmill {

/// packed[k] = table[rows[k]];      back: table[rows[k]] = packed[k].
/// Shapes   table [R, C], row stride >= C; rows [K], distinct if `back`; packed [K, C].
/// Bytes    K (4 + 8 C).     Order  exact.
/// Errors   rows are trusted to be in [0, R).
struct TableRowsArgs {
  MatrixView<float> table;
  VectorView<const std::int32_t> rows;
  MatrixView<float> packed;
  bool back = false;

  static constexpr Tolerance tolerance{0, 0};
  template <class V>
  void visit(V& v) {
    v.out("table", table);
    v.in("rows", rows);
    v.out("packed", packed);
  }
};

void table_rows(const Context& ctx, const TableRowsArgs& args);
namespace cpu {
void table_rows(const Context& ctx, const TableRowsArgs& args);
}
namespace cuda {
void table_rows(const Context& ctx, const TableRowsArgs& args);
}

}  // namespace gradmill
