// One read of a dense matrix: X w, something done with each row's product, and X transposed times what
// that gave.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/linear_pass/segment_sums.cuh"
#include "kernels/resident_blocks.cuh"

namespace gradmill::cuda {

inline constexpr int kDenseColumns = 8;  // a thread's, in registers
inline constexpr std::int64_t kMostFusedFeatures = kDenseColumns * kSegmentThreads;
inline constexpr std::int64_t kDenseParts = 264, kMostPartRows = 65536;

/// How a matrix is cut: a block sums a part of the rows, a tile of which is in shared memory at a time.
struct DenseCut {
  std::int64_t part_rows, parts;
  int tile_rows;
  explicit DenseCut(const MatrixView<const float>& x) {
    constexpr std::int64_t kTileFloats = 24 << 10;
    const std::int64_t n = std::max<std::int64_t>(x.cols, 1);
    tile_rows = static_cast<int>(std::clamp<std::int64_t>(kTileFloats / n / 8 * 8, 8, 128));
    const std::int64_t parts_wanted = std::max(kDenseParts, ceil_div(x.rows, kMostPartRows));
    part_rows = ceil_div(ceil_div(x.rows, parts_wanted), std::int64_t{tile_rows}) * tile_rows;
    parts = part_rows ? ceil_div(x.rows, part_rows) : 0;
  }
};

__device__ inline void load_tile(const MatrixView<const float>& x, std::int64_t row, int rows,
                                 bool flat, float* tile) {
  const int n = static_cast<int>(x.cols), count = rows * n;
  if (flat) {
    const auto* from = reinterpret_cast<const float4*>(x.row(row));
    for (int i = threadIdx.x; i < count / 4; i += kSegmentThreads)
      reinterpret_cast<float4*>(tile)[i] = from[i];
    for (int i = count / 4 * 4 + threadIdx.x; i < count; i += kSegmentThreads)
      tile[i] = x.row(row)[i];
    return;
  }
  for (int i = threadIdx.x; i < count; i += kSegmentThreads) tile[i] = x(row + i / n, i % n);
}

/// products[r] = <tile row r, w>: `lanes` lanes (a power of two) a row.
__device__ inline void tile_products(const float* tile, int rows, int n, const float* w, int lanes,
                                     float* products) {
  const int lane = threadIdx.x & (lanes - 1), groups = kSegmentThreads / lanes;
  for (int first = 0; first < rows; first += groups) {  // whole warps: shuffles
    const int row = first + static_cast<int>(threadIdx.x) / lanes;
    float sum = 0;
    if (row < rows)
      for (int j = lane; j < n; j += lanes) sum += tile[row * n + j] * w[j];
    for (int half = lanes / 2; half > 0; half /= 2) sum += __shfl_xor_sync(kAllLanes, sum, half);
    if (lane == 0 && row < rows) products[row] = sum;
  }
}

/// t_r = row(r, <x_r, w>, partials); partial[block, j] = sum over the block's rows of t_r x[r, j].
template <bool kForward, bool kBackward, bool kSquared, class Row>
__global__ void __launch_bounds__(kSegmentThreads, 2)
    dense_pass_kernel(MatrixView<const float> x, const float* w, Row row, DenseCut cut, bool flat,
                      int lanes, float* partial, double* partials) {
  extern __shared__ float4 area[];
  const int n = static_cast<int>(x.cols);
  float* const tile = reinterpret_cast<float*>(area);
  float* const t = tile + cut.tile_rows * n;
  float* const weights = t + cut.tile_rows;
  if (kForward)
    for (int j = threadIdx.x; j < n; j += kSegmentThreads) weights[j] = w[j];
  const int width = min(n, kSegmentThreads), slices = kSegmentThreads / max(width, 1);
  const int slice = threadIdx.x / max(width, 1), column = threadIdx.x - slice * width;
  const std::int64_t first = blockIdx.x * cut.part_rows, last = min(first + cut.part_rows, x.rows);
  float sums[kDenseColumns] = {};
  Partials<Row::kPartials> totals;
  for (std::int64_t at = first; at < last; at += cut.tile_rows) {
    const int rows = static_cast<int>(min(last - at, std::int64_t{cut.tile_rows}));
    load_tile(x, at, rows, flat, tile);
    __syncthreads();
    if (kForward) {
      tile_products(tile, rows, n, weights, lanes, t);
      __syncthreads();
    }
    for (int r = threadIdx.x; r < rows; r += kSegmentThreads)
      t[r] = row(at + r, kForward ? t[r] : 0.0f, totals);
    __syncthreads();
    if (kBackward && slice < slices)
      for (int r = slice; r < rows; r += slices)
#pragma unroll
        for (int k = 0; k < kDenseColumns; ++k) {
          const int j = column + k * kSegmentThreads;
          if (j >= n) break;
          const float value = tile[r * n + j];
          sums[k] += t[r] * (kSquared ? value * value : value);
        }
    __syncthreads();
  }
  if (kBackward) {
    if (slice < slices)
#pragma unroll
      for (int k = 0; k < kDenseColumns; ++k)
        if (column + k * kSegmentThreads < n)
          tile[slice * n + column + k * kSegmentThreads] = sums[k];
    __syncthreads();
    for (int j = threadIdx.x; j < n; j += kSegmentThreads) {
      float sum = 0;
      for (int s = 0; s < slices; ++s) sum += tile[s * n + j];
      partial[std::int64_t{blockIdx.x} * n + j] = sum;
    }
  }
  store_block_sums<Row::kPartials>(totals, partials);
}

/// A warp for each row, where a row does not fit.
template <class Row>
__global__ void __launch_bounds__(kSegmentThreads)
    wide_rows_kernel(MatrixView<const float> x, const float* w, Row row, double* partials) {
  const int lane = threadIdx.x % kWarp;
  const std::int64_t r = (std::int64_t{blockIdx.x} * kSegmentThreads + threadIdx.x) / kWarp;
  Partials<Row::kPartials> totals;
  if (r < x.rows) {
    double sum = 0;
    if (w) {
      float mine = 0;
      for (std::int64_t j = lane; j < x.cols; j += kWarp) mine += x(r, j) * w[j];
      sum = lane_sum(mine);
    }
    if (lane == 0) (void)row(r, sum, totals);
  }
  store_block_sums<Row::kPartials>(totals, partials);
}

/// partial[part, j] = sum over the part's rows of t[r] x[r, j]; a thread for each column.
template <bool kSquared>
__global__ void __launch_bounds__(kSegmentThreads)
    wide_columns_kernel(MatrixView<const float> x, MatrixView<const float> t,
                        std::int64_t part_rows, float* partial) {
  const std::int64_t j = std::int64_t{blockIdx.x} * kSegmentThreads + threadIdx.x;
  const std::int64_t first = blockIdx.y * part_rows, last = min(first + part_rows, x.rows);
  if (j >= x.cols) return;
  float sum = 0;
#pragma unroll 4
  for (std::int64_t r = first; r < last; ++r) {
    const float value = x(r, j);
    sum += t(r, 0) * (kSquared ? value * value : value);
  }
  partial[blockIdx.y * x.cols + j] = sum;
}

/// t_r = row(r, <x_r, w>, partials) for every row, which also stores it in `t` (for rows that do not fit on
/// chip); product[j] = sum_r t_r x[r, j]; totals as in segment_sums.
template <bool kForward, bool kBackward, bool kSquared, class Row>
void dense_pass(const Context& ctx, const MatrixView<const float>& x, const float* w,
                const Row& row, [[maybe_unused]] const MatrixView<const float>& t, double* product,
                double* totals) {
  const DenseCut cut(x);
  Workspace::Scope scratch(ctx);
  if (x.cols > kMostFusedFeatures) {
    const std::int64_t blocks = ceil_div<std::int64_t>(x.rows, kSegmentWarps);
    double* partials = scratch.take<double>(blocks * Row::kPartials).data;
    if (blocks) {
      wide_rows_kernel<<<static_cast<unsigned>(blocks), kSegmentThreads, 0, ctx.stream()>>>(
          x, kForward ? w : nullptr, row, partials);
      cuda_check(cudaGetLastError(), "launch a pass over wide rows");
    }
    if (Row::kPartials) sum_parts(ctx, partials, blocks, Row::kPartials, totals);
    if (!kBackward) return;
    const std::int64_t part_rows = std::max<std::int64_t>(256, ceil_div<std::int64_t>(x.rows, 64));
    const std::int64_t parts = ceil_div(x.rows, part_rows);
    float* partial = scratch.take<float>(parts * x.cols).data;
    if (parts) {
      const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(x.cols, kSegmentThreads)),
                      static_cast<unsigned>(parts));
      wide_columns_kernel<kSquared>
          <<<grid, kSegmentThreads, 0, ctx.stream()>>>(x, t, part_rows, partial);
      cuda_check(cudaGetLastError(), "launch a pass over wide columns");
    }
    return sum_parts(ctx, partial, parts, x.cols, product);
  }
  const std::int64_t n = x.cols;
  float* partial = scratch.take<float>(kBackward ? cut.parts * n : 0).data;
  double* partials = scratch.take<double>(cut.parts * Row::kPartials).data;
  if (cut.parts) {
    int lanes = 1;
    while (lanes < kWarp && lanes < n) lanes *= 2;
    const std::int64_t tile = std::max<std::int64_t>(cut.tile_rows * n, kSegmentThreads);
    const auto bytes = static_cast<std::size_t>(4 * (tile + cut.tile_rows + n));
    const auto kernel = dense_pass_kernel<kForward, kBackward, kSquared, Row>;
    (void)resident_blocks(ctx, kernel, kSegmentThreads, bytes);
    const bool flat = x.stride == n && reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0;
    kernel<<<static_cast<unsigned>(cut.parts), kSegmentThreads, bytes, ctx.stream()>>>(
        x, w, row, cut, flat, lanes, partial, partials);
    cuda_check(cudaGetLastError(), "launch a pass over dense rows");
  }
  if (kBackward) sum_parts(ctx, partial, cut.parts, n, product);
  if (Row::kPartials) sum_parts(ctx, partials, cut.parts, Row::kPartials, totals);
}

}  // namespace gradmill::cuda
