#include "kernels/linear_margins/linear_margins.h"

#include "kernels/linear_pass/dense_pass.cuh"
#include "kernels/linear_pass/row_scores.cuh"
#include "kernels/linear_pass/segment_sums.cuh"

namespace gradmill::cuda {
namespace {
struct StoreMargin {
  static constexpr int kPartials = 0;
  MatrixView<float> margins;
  const float* intercept;
  __device__ float operator()(std::int64_t row, double sum, Partials<0>&) const {
    margins(row, 0) = static_cast<float>(sum + *intercept);
    return 0;
  }
};
struct KeepScores {
  __device__ double operator()(std::int64_t, float*) const { return 0; }
};
}  // namespace

void linear_margins(const Context& ctx, const LinearMarginsArgs& args) {
  const SampleMatrix& m = args.matrix;
  if (m.samples() == 0) return;
  if (args.coefficients.rows > 1)
    return row_scores(ctx, m, args.coefficients, args.intercepts.data, args.margins, KeepScores{},
                      nullptr);
  const StoreMargin store{args.margins, args.intercepts.data};
  if (m.is_dense())
    dense_pass<true, false, false>(ctx, m.dense, args.coefficients.data, store, {}, nullptr,
                                   nullptr);
  else
    segment_sums<kManyGroups>(ctx, Segments(m.rows), args.coefficients.data, 1, store);
}

}  // namespace gradmill::cuda
