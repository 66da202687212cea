#include "kernels/table_rows/table_rows.h"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) table_rows_kernel(TableRowsArgs args) {
  const std::int64_t cols = args.table.cols, i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t k = i / cols, c = i % cols;
  if (k >= args.rows.size) return;
  float& packed = args.packed(k, c);
  float& value = args.table(args.rows[k], c);
  if (args.back)
    value = packed;
  else
    packed = value;
}
}  // namespace

void table_rows(const Context& ctx, const TableRowsArgs& args) {
  const std::int64_t values = args.rows.size * args.table.cols;
  if (values == 0) return;
  table_rows_kernel<<<static_cast<unsigned>((values + kThreads - 1) / kThreads), kThreads, 0,
                      ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch table_rows");
}

}  // namespace gradmill::cuda
