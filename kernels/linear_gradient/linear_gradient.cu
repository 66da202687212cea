#include "kernels/linear_gradient/linear_gradient.h"

#include "kernels/linear_pass/dense_pass.cuh"
#include "kernels/linear_pass/device_pass.h"
#include "kernels/linear_pass/row_losses.cuh"
#include "kernels/linear_pass/segment_sums.cuh"

namespace gradmill::cuda {
namespace {
/// Loss, slope and curvature of a margin; adds up losses and slopes.
struct PointSlope {
  static constexpr int kPartials = 2;
  Targets targets;
  const float* intercept;
  MatrixView<float> slopes, curvatures;
  __device__ float operator()(std::int64_t row, double margin, Partials<2>& sums) const {
    const float s = targets.weight(row);
    const PointLoss at =
        point_loss(targets.loss, static_cast<float>(margin + *intercept), targets.labels[row]);
    const float slope = s * at.slope;
    slopes(row, 0) = slope;
    if (curvatures.data) curvatures(row, 0) = s * at.curvature;
    sums.values[0] += static_cast<double>(s) * at.value;
    sums.values[1] += slope;
    return slope;
  }
};

struct ClassSlopes {
  Targets targets;
  MatrixView<float> curvatures;
  std::int64_t classes;
  __device__ double operator()(std::int64_t row, float* scores) const {
    return class_losses(targets, row, classes, 1, scores,
                        curvatures.data ? curvatures.row(row) : nullptr);
  }
};

__global__ void spread_kernel(const double* two, double* loss, double* slopes) {
  *loss = two[0];
  *slopes = two[1];
}
}  // namespace

void linear_gradient(const Context& ctx, const LinearGradientArgs& args) {
  const SampleMatrix& m = args.matrix;
  const Targets targets{args.labels, args.weights, args.loss_kind};
  if (args.coefficients.rows > 1) {
    row_scores(ctx, m, args.coefficients, args.intercepts.data, args.slopes,
               ClassSlopes{targets, args.curvatures, args.coefficients.rows}, args.loss.data);
    transposed_product(ctx, m, args.slopes, false, args.gradient);
    return column_sums(ctx, args.slopes, args.intercept_gradient);
  }
  const PointSlope row{targets, args.intercepts.data, args.slopes, args.curvatures};
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(2).data;
  if (m.is_dense()) {
    dense_pass<true, true, false>(ctx, m.dense, args.coefficients.data, row, args.slopes,
                                  args.gradient.data, sums);
  } else {
    segment_sums<kManyGroups>(ctx, Segments(m.rows), args.coefficients.data, 1, row, sums);
    transposed_product(ctx, m, args.slopes, false, args.gradient);
  }
  spread_kernel<<<1, 1, 0, ctx.stream()>>>(sums, args.loss.data, args.intercept_gradient.data);
  cuda_check(cudaGetLastError(), "launch linear_gradient's totals");
}

}  // namespace gradmill::cuda
