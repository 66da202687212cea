#include "kernels/linear_diagonal/linear_diagonal.h"

#include "kernels/linear_pass/linear_pass.h"
#include "runtime/expect.h"

namespace gradmill {

void cpu::linear_diagonal(const Context& ctx, const LinearDiagonalArgs& args) {
  const std::int64_t outputs = args.diagonal.rows, stride = table_stride(outputs);
  const bool softmax = args.loss_kind.kind == LossKind::softmax;
  const LinearPass pass{args.matrix, {}, args.diagonal, args.intercept_diagonal, true};
  linear_pass(ctx, pass, [&](std::int64_t first, std::int64_t count, const float*, float* t) {
    for (std::int64_t r = 0; r < count; ++r) {
      const float* h = args.curvatures.row(first + r);
      float* to = t + r * stride;
      const float s = softmax && args.weights.size ? args.weights[first + r] : 1.0f;
      for (std::int64_t c = 0; c < outputs; ++c) to[c] = softmax ? s * h[c] * (1 - h[c]) : h[c];
      std::fill(to + outputs, to + stride, 0.0f);
    }
    return 0.0;
  });
}

void linear_diagonal(const Context& ctx, const LinearDiagonalArgs& args) {
  const std::int64_t samples = args.matrix.samples(), outputs = args.diagonal.rows;
  require(args.diagonal.cols == args.matrix.features() && args.intercept_diagonal.size == outputs,
          "linear_diagonal: {} features, diagonal {} x {}, {} intercepts", args.matrix.features(),
          outputs, args.diagonal.cols, args.intercept_diagonal.size);
  require(args.curvatures.rows == samples && args.curvatures.cols == outputs &&
              (args.weights.size == 0 || args.weights.size == samples),
          "linear_diagonal: {} samples, curvatures {} x {}, {} weights", samples,
          args.curvatures.rows, args.curvatures.cols, args.weights.size);
  run_kernel(ctx, "linear_diagonal", args, cpu::linear_diagonal,
             [](const auto& c, const auto& a) { cuda::linear_diagonal(c, a); });
}

}  // namespace gradmill
