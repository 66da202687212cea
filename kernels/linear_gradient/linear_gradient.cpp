#include "kernels/linear_gradient/linear_gradient.h"

#include "kernels/linear_pass/linear_pass.h"
#include "kernels/linear_pass/row_losses.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

/// Rows of `stride` floats to rows of a matrix; the same memory if the strides agree.
void copy_out(const float* from, std::int64_t stride, std::int64_t first, std::int64_t count,
              MatrixView<float> to) {
  for (std::int64_t r = 0; r < count; ++r)
    std::copy_n(from + r * stride, to.cols, to.row(first + r));
}
}  // namespace

void cpu::linear_gradient(const Context& ctx, const LinearGradientArgs& args) {
  const std::int64_t outputs = args.coefficients.rows, stride = table_stride(outputs);
  const RowLosses losses{args.loss_kind, outputs,      args.intercepts.data,
                         args.labels,    args.weights, 1};
  const std::int64_t group = group_rows(args.matrix);
  const LinearPass pass{args.matrix, args.coefficients, args.gradient, args.intercept_gradient,
                        false};
  args.loss[0] =
      linear_pass(ctx, pass, [&](std::int64_t first, std::int64_t count, const float* m, float* t) {
        float* curvatures = nullptr;
        std::vector<float> wide;
        if (args.curvatures.data) {
          if (args.curvatures.stride == stride) {
            curvatures = args.curvatures.row(first);
          } else {
            wide.resize(static_cast<std::size_t>(group * stride));
            curvatures = wide.data();
          }
        }
        const double loss = losses.evaluate(first, count, stride, m, t, curvatures, nullptr);
        copy_out(t, stride, first, count, args.slopes);
        if (!wide.empty()) copy_out(wide.data(), stride, first, count, args.curvatures);
        return loss;
      });
}

void linear_gradient(const Context& ctx, const LinearGradientArgs& args) {
  const std::int64_t samples = args.matrix.samples(), n = args.matrix.features();
  const std::int64_t outputs = args.coefficients.rows;
  require(args.coefficients.cols == n && args.gradient.cols == n && args.gradient.rows == outputs &&
              outputs >= 1,
          "linear_gradient: {} features, coefficients {} x {}, gradient {} x {}", n, outputs,
          args.coefficients.cols, args.gradient.rows, args.gradient.cols);
  require(args.intercepts.size == outputs && args.intercept_gradient.size == outputs &&
              args.loss.size >= 1,
          "linear_gradient: {} outputs, {} intercepts, {} of their gradients", outputs,
          args.intercepts.size, args.intercept_gradient.size);
  require(args.labels.size == samples && (args.weights.size == 0 || args.weights.size == samples),
          "linear_gradient: {} samples, {} labels, {} weights", samples, args.labels.size,
          args.weights.size);
  require(args.slopes.rows == samples && args.slopes.cols == outputs,
          "linear_gradient: {} samples of {} outputs, slopes {} x {}", samples, outputs,
          args.slopes.rows, args.slopes.cols);
  require(
      !args.curvatures.data || (args.curvatures.rows == samples && args.curvatures.cols == outputs),
      "linear_gradient: {} samples of {} outputs, curvatures {} x {}", samples, outputs,
      args.curvatures.rows, args.curvatures.cols);
  require(args.loss_kind.kind != LossKind::softmax || outputs > 1,
          "linear_gradient: softmax of {} outputs", outputs);
  run_kernel(ctx, "linear_gradient", args, cpu::linear_gradient,
             [](const auto& c, const auto& a) { cuda::linear_gradient(c, a); });
}

}  // namespace gradmill
