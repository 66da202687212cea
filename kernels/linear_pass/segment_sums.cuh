// Products of a sparse matrix and a vector, with a row's end fused: margins to slopes, gradients to updates.
#pragma once

#include <cstddef>

#include "kernels/block_sum.cuh"
#include "kernels/linear_pass/segments.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {

inline constexpr int kSegmentThreads = 256, kSegmentWarps = kSegmentThreads / kWarp;
/// Groups of 32 steps a warp: of a whole data set, and of a mini-batch, where many blocks matter more.
inline constexpr int kManyGroups = 16, kFewGroups = 2;

/// What a block leaves of rows that do not begin and end in it.
struct Carry {
  double head, open;  // of row0, if it began before; after the last end
  std::int64_t row;   // row0 if it began before, else -1
};

template <int kPartials>
struct Partials {
  double values[kPartials > 0 ? kPartials : 1] = {};
};

template <int kPartials>
__device__ void store_block_sums(const Partials<kPartials>& mine, double* partials) {
  for (int k = 0; k < kPartials; ++k) {
    const double sum = block_sum<kSegmentThreads>(mine.values[k]);
    if (threadIdx.x == 0) partials[std::int64_t{blockIdx.x} * kPartials + k] = sum;
  }
}

/// A block's piece, in three passes: where rows end; a warp for each run of entries, 32 at a time, with a
/// scan where rows end among them; a thread for each row that has ended.
/// end(row, sum, partials) for every row; x[index * stride] is the vector.
template <int kGroups, bool kSquared, class End>
__global__ void __launch_bounds__(kSegmentThreads)
    segment_sums_kernel(Segments s, const float* x, std::int64_t stride, End end, Carry* carries,
                        double* partials) {
  constexpr int kSteps = kSegmentThreads * kGroups, kUnroll = 4;
  __shared__ int ended[kSteps + kWarp];  // row - row0 + 1 of the row that an entry ends, or 0
  __shared__ float sums[kSteps];
  __shared__ std::int64_t first_rows[2], first_entries[2];
  __shared__ double open[kSegmentWarps];
  __shared__ int first_end[kSegmentWarps];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  if (threadIdx.x < 2)
    first_rows[threadIdx.x] =
        first_row(s, blockIdx.x + threadIdx.x, kSteps, first_entries[threadIdx.x]);
  __syncthreads();
  const Piece p =
      piece_between(s, first_rows[0], first_rows[1], first_entries[0], first_entries[1]);
  const std::int64_t aligned = p.entry0 / kWarp * kWarp;
  const int groups = static_cast<int>(ceil_div<std::int64_t>(p.entry1 - aligned, kWarp));
  const int rows = static_cast<int>(p.row1 - p.row0);
  for (int i = threadIdx.x; i < groups * kWarp; i += kSegmentThreads) ended[i] = 0;
  for (int i = threadIdx.x; i < rows; i += kSegmentThreads) sums[i] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < rows; i += kSegmentThreads) {
    const std::int64_t from = max(s.offset(p.row0 + i), p.entry0), to = s.offset(p.row0 + i + 1);
    if (to > from) ended[to - 1 - aligned] = i + 1;
  }
  __syncthreads();

  const int each = ceil_div(groups, kSegmentWarps), last = min((warp + 1) * each, groups);
  float mine = 0;  // of the row that is open
  int first = -1;
  for (int group = warp * each; group < last; group += kUnroll) {
    float product[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const std::int64_t e = aligned + (group + u) * kWarp + lane;
      const bool there = group + u < last && e >= p.entry0 && e < p.entry1;
      const float value = there && s.values ? s.values[e] : 1.0f;
      product[u] = there ? (kSquared ? value * value : value) * x[s.indices[e] * stride] : 0.0f;
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (group + u >= last) break;
      const int row = ended[(group + u) * kWarp + lane];
      const unsigned ends = __ballot_sync(kAllLanes, row != 0);
      if (ends == 0) {
        mine += product[u];
        continue;
      }
      const float before = lane_sum(mine);
      const int start = kWarp - __clz(ends & ((1u << lane) - 1));
      const float sum = segmented_scan(product[u] + (lane == 0 ? before : 0.0f), start);
      if (row) sums[row - 1] = sum;
      if (first < 0) first = __shfl_sync(kAllLanes, row, __ffs(static_cast<int>(ends)) - 1) - 1;
      mine = lane == kWarp - 1 && !row ? sum : 0.0f;
    }
  }
  const float left = lane_sum(mine);
  if (lane == 0) {
    open[warp] = left;
    first_end[warp] = first;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double carry = 0;
    for (int w = 0; w < kSegmentWarps; ++w) {
      if (first_end[w] >= 0) {
        sums[first_end[w]] += static_cast<float>(carry);
        carry = 0;
      }
      carry += open[w];
    }
    carries[blockIdx.x] = {p.began_before ? sums[0] : 0.0, carry, p.began_before ? p.row0 : -1};
  }
  __syncthreads();
  Partials<End::kPartials> totals;
  for (int i = threadIdx.x + (p.began_before ? 1 : 0); i < rows; i += kSegmentThreads)
    end(p.row0 + i, sums[i], totals);
  store_block_sums<End::kPartials>(totals, partials);
}

/// A warp for each block's row that began before it.
template <int kGroups, class End>
__global__ void __launch_bounds__(kSegmentThreads)
    segment_carries_kernel(Segments s, const Carry* carries, std::int64_t blocks, End end,
                           double* partials) {
  const int lane = threadIdx.x % kWarp;
  const std::int64_t block = (std::int64_t{blockIdx.x} * kSegmentThreads + threadIdx.x) / kWarp;
  const std::int64_t row = block < blocks ? carries[block].row : -1;
  Partials<End::kPartials> totals;
  if (row >= 0) {
    double sum = 0;
    for (std::int64_t b = s.steps_before(row) / (kSegmentThreads * kGroups) + lane; b < block;
         b += kWarp)
      sum += carries[b].open;
    sum = lane_sum(sum);
    if (lane == 0) end(row, sum + carries[block].head, totals);
  }
  store_block_sums<End::kPartials>(totals, partials);
}

/// end(row, sum over its entries of value x[index]) for every row, empty ones too, once; totals [kPartials]
/// are the sums of what it adds to its third argument. kGroups: 32 entries that a warp takes.
template <int kGroups, bool kSquared = false, class End>
void segment_sums(const Context& ctx, const Segments& s, const float* x, std::int64_t stride,
                  const End& end, double* totals = nullptr) {
  const std::int64_t blocks =
      ceil_div<std::int64_t>(s.most_steps(), std::int64_t{kSegmentThreads} * kGroups);
  const std::int64_t carry_blocks = ceil_div<std::int64_t>(blocks, kSegmentWarps);
  Workspace::Scope scratch(ctx);
  double* partials = scratch.take<double>((blocks + carry_blocks) * End::kPartials).data;
  if (blocks) {
    Carry* carries = scratch.take<Carry>(blocks).data;
    segment_sums_kernel<kGroups, kSquared>
        <<<static_cast<unsigned>(blocks), kSegmentThreads, 0, ctx.stream()>>>(s, x, stride, end,
                                                                              carries, partials);
    cuda_check(cudaGetLastError(), "launch a sparse product");
    segment_carries_kernel<kGroups>
        <<<static_cast<unsigned>(carry_blocks), kSegmentThreads, 0, ctx.stream()>>>(
            s, carries, blocks, end, partials + blocks * End::kPartials);
    cuda_check(cudaGetLastError(), "launch a sparse product's carries");
  }
  if (End::kPartials) sum_parts(ctx, partials, blocks + carry_blocks, End::kPartials, totals);
}

}  // namespace gradmill::cuda
