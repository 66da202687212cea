// Scores of rows under several outputs, and something done with a row's scores: a warp for each row.
#pragma once

#include <cstddef>

#include "kernels/linear_pass/device_pass.h"
#include "kernels/linear_pass/output_lanes.cuh"
#include "kernels/linear_pass/segment_sums.cuh"
#include "kernels/sample_matrix.h"

namespace gradmill::cuda {

enum class ScoreSource { sparse_rows, dense_rows, given };

/// scores[r, c] = <x_r, table[:, c]> + intercepts[c] (if there are any), or as given + intercepts[c]; then
/// end(r, scores of r), called by the whole warp, gives a loss in lane 0; partials [blocks] or nullptr.
template <ScoreSource kSource, class End>
__global__ void __launch_bounds__(kSegmentThreads)
    row_scores_kernel(SampleMatrix matrix, MatrixView<const float> table, const float* intercepts,
                      MatrixView<float> scores, End end, double* partials) {
  const int lane = threadIdx.x % kWarp;
  const std::int64_t row = (std::int64_t{blockIdx.x} * kSegmentThreads + threadIdx.x) / kWarp;
  double loss = 0;
  if (row < scores.rows) {
    const OutputLanes lanes(scores.cols);
    for (std::int64_t first = 0; first < scores.cols; first += kTileOutputs) {
      float sums[kOutputTiles] = {};
      if (kSource == ScoreSource::sparse_rows)
        add_entries<false>(matrix.rows.indices, matrix.rows.values, matrix.rows.offsets[row],
                           matrix.rows.offsets[row + 1], table, first, lanes, sums);
      if (kSource == ScoreSource::dense_rows)
        add_entries<false>(nullptr, matrix.dense.row(row), 0, matrix.dense.cols, table, first,
                           lanes, sums);
      if (kSource != ScoreSource::given) add_lanes(lanes, sums);
      if (lanes.entry != 0) continue;
#pragma unroll
      for (int t = 0; t < kOutputTiles; ++t) {
        const std::int64_t c = first + lanes.output + t * kWarp;
        if (c >= scores.cols) break;
        const float sum = kSource == ScoreSource::given ? scores(row, c) : sums[t];
        scores(row, c) = sum + (intercepts ? intercepts[c] : 0.0f);
      }
    }
    __syncwarp();
    loss = end(row, scores.row(row));
  }
  if (!partials) return;
  loss = block_sum<kSegmentThreads>(lane == 0 ? loss : 0.0);
  if (threadIdx.x == 0) partials[blockIdx.x] = loss;
}

/// The same under a feature-major table [features, C]; total [1] or nullptr.
template <ScoreSource kSource, class End>
void table_scores(const Context& ctx, const SampleMatrix& matrix,
                  const MatrixView<const float>& table, const float* intercepts,
                  const MatrixView<float>& scores, const End& end, double* total) {
  const std::int64_t blocks = ceil_div<std::int64_t>(scores.rows, kSegmentWarps);
  Workspace::Scope scratch(ctx);
  double* partials = total ? scratch.take<double>(blocks).data : nullptr;
  if (blocks) {
    row_scores_kernel<kSource><<<static_cast<unsigned>(blocks), kSegmentThreads, 0, ctx.stream()>>>(
        matrix, table, intercepts, scores, end, partials);
    cuda_check(cudaGetLastError(), "launch row scores");
  }
  if (total) sum_parts(ctx, partials, blocks, 1, total);
}

/// The same under coefficients [C, features]: cuBLAS for dense rows.
template <class End>
void row_scores(const Context& ctx, const SampleMatrix& matrix,
                const MatrixView<const float>& coefficients, const float* intercepts,
                const MatrixView<float>& scores, const End& end, double* total) {
  if (matrix.is_dense()) {
    dense_scores(ctx, matrix.dense, coefficients, scores);
    return table_scores<ScoreSource::given>(ctx, matrix, {}, intercepts, scores, end, total);
  }
  Workspace::Scope scratch(ctx);
  const std::int64_t n = coefficients.cols, outputs = coefficients.rows;
  const MatrixView<float> table{scratch.take<float>(n * outputs).data, n, outputs, outputs,
                                ctx.device()};
  transpose(ctx, coefficients, table);
  table_scores<ScoreSource::sparse_rows>(ctx, matrix, table, intercepts, scores, end, total);
}

/// Of C scores, by a warp.
__device__ inline float max_score(const float* scores, std::int64_t count) {
  float best = -INFINITY;
  for (std::int64_t c = threadIdx.x % kWarp; c < count; c += kWarp) best = fmaxf(best, scores[c]);
#pragma unroll
  for (int half = kWarp / 2; half > 0; half /= 2)
    best = fmaxf(best, __shfl_xor_sync(kAllLanes, best, half));
  return best;
}

}  // namespace gradmill::cuda
