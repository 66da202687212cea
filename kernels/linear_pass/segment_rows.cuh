// Products of a sparse matrix and a narrow dense one, with a row's end fused: segment_sums for several
// outputs. A warp for each piece of the walk over rows and entries.
#pragma once

#include <cstddef>

#include "kernels/linear_pass/output_lanes.cuh"
#include "kernels/linear_pass/segments.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {

inline constexpr int kRowThreads = 256, kRowWarps = kRowThreads / kWarp;

/// What pieces leave of rows that do not begin and end in them.
struct RowCarries {
  double *head, *open;  // [pieces, C]: of the row that began before; after the last end
  std::int64_t* row;    // [pieces] the row that began before and ends in the piece, or -1
};

/// end(row, c, sum) for every row and output; then, by one lane, end.finish(row).
template <bool kSquared, class End>
__global__ void __launch_bounds__(kRowThreads, 4)
    segment_rows_kernel(Segments s, MatrixView<const float> x, std::int64_t steps_each,
                        std::int64_t pieces, End end, RowCarries carries) {
  const std::int64_t piece = (std::int64_t{blockIdx.x} * kRowThreads + threadIdx.x) / kWarp;
  if (piece >= pieces) return;
  const int lane = threadIdx.x % kWarp;
  const Piece p = piece_of_warp(s, piece, steps_each);
  const OutputLanes lanes(x.cols);
  if (lane == 0) carries.row[piece] = p.began_before ? p.row0 : -1;
  for (std::int64_t first = 0; first < x.cols; first += kTileOutputs) {
    const bool last_tile = first + kTileOutputs >= x.cols;
    for (std::int64_t row = p.row0; row <= p.row1; ++row) {
      const bool ends = row < p.row1;
      const std::int64_t from = row < s.rows ? max(s.offset(row), p.entry0) : p.entry1;
      const std::int64_t to = ends ? s.offset(row + 1) : p.entry1;
      float sums[kOutputTiles] = {};
      add_entries<kSquared>(s.indices, s.values, from, to, x, first, lanes, sums);
      add_lanes(lanes, sums);
      const bool head = p.began_before && row == p.row0;
#pragma unroll
      for (int t = 0; t < kOutputTiles; ++t) {
        const std::int64_t c = first + lanes.output + t * kWarp;
        if (lanes.entry != 0 || c >= x.cols) break;
        if (!ends)
          carries.open[piece * x.cols + c] = sums[t];
        else if (head)
          carries.head[piece * x.cols + c] = sums[t];
        else
          end(row, c, sums[t]);
      }
      __syncwarp();
      if (lane == 0 && ends && !head && last_tile) end.finish(row);
    }
  }
}

/// A block for each piece whose first row began before it: a lane for each output, a warp for every eighth
/// of the pieces before.
template <class End>
__global__ void __launch_bounds__(kRowThreads)
    segment_row_carries_kernel(Segments s, std::int64_t outputs, std::int64_t steps_each, End end,
                               RowCarries carries) {
  __shared__ double sums[kRowWarps][kWarp];
  const std::int64_t piece = blockIdx.x, row = carries.row[piece];
  if (row < 0) return;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::int64_t begin = s.steps_before(row) / steps_each;
  for (std::int64_t first = 0; first < outputs; first += kWarp) {
    const std::int64_t c = first + lane;
    double sum = 0;
    if (c < outputs)
      for (std::int64_t b = begin + warp; b < piece; b += kRowWarps)
        sum += carries.open[b * outputs + c];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && c < outputs) {
      for (int w = 1; w < kRowWarps; ++w) sum += sums[w][lane];
      end(row, c, sum + carries.head[piece * outputs + c]);
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) end.finish(row);
}

/// end(row, c, sum over the row's entries of value x[index, c]) for every row, empty ones too.
template <bool kSquared = false, class End>
void segment_rows(const Context& ctx, const Segments& s, const MatrixView<const float>& x,
                  std::int64_t steps_each, const End& end) {
  const std::int64_t pieces = ceil_div(s.most_steps(), steps_each);
  if (pieces == 0) return;
  Workspace::Scope scratch(ctx);
  const RowCarries carries{scratch.take<double>(pieces * x.cols).data,
                           scratch.take<double>(pieces * x.cols).data,
                           scratch.take<std::int64_t>(pieces).data};
  segment_rows_kernel<kSquared>
      <<<static_cast<unsigned>(ceil_div<std::int64_t>(pieces, kRowWarps)), kRowThreads, 0,
         ctx.stream()>>>(s, x, steps_each, pieces, end, carries);
  cuda_check(cudaGetLastError(), "launch a sparse product of several outputs");
  segment_row_carries_kernel<<<static_cast<unsigned>(pieces), kRowThreads, 0, ctx.stream()>>>(
      s, x.cols, steps_each, end, carries);
  cuda_check(cudaGetLastError(), "launch a sparse product's carries");
}

}  // namespace gradmill::cuda
