#include "kernels/table_rows/table_rows.h"

#include <algorithm>

#include "runtime/expect.h"

namespace gradmill {

void cpu::table_rows(const Context&, const TableRowsArgs& args) {
  for (std::int64_t k = 0; k < args.rows.size; ++k) {
    float *const row = args.table.row(args.rows[k]), *const packed = args.packed.row(k);
    std::copy_n(args.back ? packed : row, args.table.cols, args.back ? row : packed);
  }
}

void table_rows(const Context& ctx, const TableRowsArgs& args) {
  require(args.packed.rows == args.rows.size && args.packed.cols == args.table.cols,
          "table_rows: {} rows of a table of {} columns, packed {} x {}", args.rows.size,
          args.table.cols, args.packed.rows, args.packed.cols);
  run_kernel(ctx, "table_rows", args, cpu::table_rows,
             [](const auto& c, const auto& a) { cuda::table_rows(c, a); });
}

}  // namespace gradmill
