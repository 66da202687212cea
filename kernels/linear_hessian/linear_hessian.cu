#include "kernels/linear_hessian/linear_hessian.h"

#include "kernels/linear_pass/dense_pass.cuh"
#include "kernels/linear_pass/device_pass.h"
#include "kernels/linear_pass/row_scores.cuh"
#include "kernels/linear_pass/segment_sums.cuh"

namespace gradmill::cuda {
namespace {
struct PointCurve {
  static constexpr int kPartials = 1;
  MatrixView<const float> curvatures;
  const float* intercept;
  MatrixView<float> scratch;
  __device__ float operator()(std::int64_t row, double u, Partials<1>& sums) const {
    const float t = curvatures(row, 0) * static_cast<float>(u + *intercept);
    scratch(row, 0) = t;
    sums.values[0] += t;
    return t;
  }
};

/// A row's C > 1 products u become t.
struct ClassCurves {
  LinearHessianArgs args;
  __device__ double operator()(std::int64_t row, float* u) const {
    const float* h = args.curvatures.row(row);
    float mean = 0, s = 1;
    if (args.loss_kind.kind == LossKind::softmax) {
      for (std::int64_t c = threadIdx.x % kWarp; c < args.curvatures.cols; c += kWarp)
        mean += h[c] * u[c];
      mean = lane_sum(mean);
      if (args.weights.size) s = args.weights[row];
    }
    for (std::int64_t c = threadIdx.x % kWarp; c < args.curvatures.cols; c += kWarp)
      u[c] = s * h[c] * (u[c] - mean);
    return 0;
  }
};
}  // namespace

void linear_hessian(const Context& ctx, const LinearHessianArgs& args) {
  const SampleMatrix& m = args.matrix;
  if (args.direction.rows > 1) {
    row_scores(ctx, m, args.direction, args.intercept_direction.data, args.scratch,
               ClassCurves{args}, nullptr);
    transposed_product(ctx, m, args.scratch, false, args.product);
    return column_sums(ctx, args.scratch, args.intercept_product);
  }
  const PointCurve row{args.curvatures, args.intercept_direction.data, args.scratch};
  if (m.is_dense())
    return dense_pass<true, true, false>(ctx, m.dense, args.direction.data, row, args.scratch,
                                         args.product.data, args.intercept_product.data);
  segment_sums<kManyGroups>(ctx, Segments(m.rows), args.direction.data, 1, row,
                            args.intercept_product.data);
  transposed_product(ctx, m, args.scratch, false, args.product);
}

}  // namespace gradmill::cuda
