#include "kernels/linear_hessian/linear_hessian.h"

#include "kernels/linear_pass/linear_pass.h"
#include "runtime/expect.h"

namespace gradmill {

void cpu::linear_hessian(const Context& ctx, const LinearHessianArgs& args) {
  const std::int64_t outputs = args.direction.rows, stride = table_stride(outputs);
  const bool softmax = args.loss_kind.kind == LossKind::softmax;
  const LinearPass pass{args.matrix, args.direction, args.product, args.intercept_product, false};
  linear_pass(ctx, pass, [&](std::int64_t first, std::int64_t count, const float* m, float* t) {
    for (std::int64_t r = 0; r < count; ++r) {
      const float* u = m + r * stride;
      const float* h = args.curvatures.row(first + r);
      float* to = t + r * stride;
      float mean = 0;
      if (softmax)
        for (std::int64_t c = 0; c < outputs; ++c)
          mean += h[c] * (u[c] + args.intercept_direction[c]);
      const float s = softmax && args.weights.size ? args.weights[first + r] : 1.0f;
      for (std::int64_t c = 0; c < outputs; ++c)
        to[c] = s * h[c] * (u[c] + args.intercept_direction[c] - mean);
      std::fill(to + outputs, to + stride, 0.0f);
    }
    return 0.0;
  });
}

void linear_hessian(const Context& ctx, const LinearHessianArgs& args) {
  const std::int64_t samples = args.matrix.samples(), n = args.matrix.features();
  const std::int64_t outputs = args.direction.rows;
  require(args.direction.cols == n && args.product.cols == n && args.product.rows == outputs,
          "linear_hessian: {} features, direction {} x {}, product {} x {}", n, outputs,
          args.direction.cols, args.product.rows, args.product.cols);
  require(args.intercept_direction.size == outputs && args.intercept_product.size == outputs,
          "linear_hessian: {} outputs, {} intercepts, {} of their products", outputs,
          args.intercept_direction.size, args.intercept_product.size);
  require(args.curvatures.rows == samples && args.curvatures.cols == outputs,
          "linear_hessian: {} samples of {} outputs, curvatures {} x {}", samples, outputs,
          args.curvatures.rows, args.curvatures.cols);
  require(args.weights.size == 0 || args.weights.size == samples,
          "linear_hessian: {} samples, {} weights", samples, args.weights.size);
  run_kernel(ctx, "linear_hessian", args, cpu::linear_hessian,
             [](const auto& c, const auto& a) { cuda::linear_hessian(c, a); });
}

}  // namespace gradmill
