#include "kernels/linear_margins/linear_margins.h"

#include "kernels/linear_pass/linear_pass.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {

void cpu::linear_margins(const Context& ctx, const LinearMarginsArgs& args) {
  const std::int64_t samples = args.matrix.samples(), outputs = args.coefficients.rows;
  const std::int64_t stride = table_stride(outputs), group = group_rows(args.matrix);
  Workspace::Scope scratch(ctx);
  const MatrixView<const float> table = feature_major(
      ctx, args.coefficients,
      outputs == 1 ? VectorView<float>{} : scratch.take<float>(args.coefficients.cols * stride));
  float* const buffers = scratch.take<float>(group * stride * ctx.threads().size()).data;
  const std::int64_t groups = (samples + group - 1) / group;
  ctx.threads().parallel_for(groups, 8, [&](std::int64_t first, std::int64_t last, int thread) {
    float* const m = buffers + thread * group * stride;
    for (std::int64_t g = first; g < last; ++g) {
      const std::int64_t row = g * group, count = std::min(group, samples - row);
      dot_rows(args.matrix, row, count, table, m);
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t c = 0; c < outputs; ++c)
          args.margins(row + r, c) = m[r * stride + c] + args.intercepts[c];
    }
  });
}

void linear_margins(const Context& ctx, const LinearMarginsArgs& args) {
  const std::int64_t outputs = args.coefficients.rows;
  require(args.coefficients.cols == args.matrix.features() && outputs >= 1,
          "linear_margins: {} features but coefficients are {} x {}", args.matrix.features(),
          outputs, args.coefficients.cols);
  require(args.margins.rows == args.matrix.samples() && args.margins.cols == outputs &&
              args.intercepts.size == outputs,
          "linear_margins: {} samples, {} outputs, but {} x {} margins and {} intercepts",
          args.matrix.samples(), outputs, args.margins.rows, args.margins.cols,
          args.intercepts.size);
  run_kernel(ctx, "linear_margins", args, cpu::linear_margins,
             [](const auto& c, const auto& a) { cuda::linear_margins(c, a); });
}

}  // namespace gradmill
