// Sums of ratings into systems: factor rows are gathered into shared memory once, and a group of
// threads adds them to the tiles in its registers.
#pragma once

#include "kernels/normal_equations/row_systems.cuh"

namespace gradmill::cuda {

/// Gathers the factors of `count` ratings, weighted and plain. rating_of(s) is the absolute number of
/// the one that is staged at s, -1: none.
template <class RatingOf>
__device__ __forceinline__ void stage_ratings(const RowSystems& work, const SystemShared& shared,
                                              int count, const RatingOf& rating_of) {
#pragma unroll 1
  for (int s = threadIdx.x; s < count; s += blockDim.x) {
    const std::int64_t e = rating_of(s);
    if (e < 0) {
      shared.index()[s] = -1;
      continue;
    }
    const std::int32_t i = work.ratings.indices[e];
    const float r = work.ratings.values[e], w = work.weights.size ? work.weights[e] : 1.0f;
    const float a = work.model.implicit ? w * work.model.alpha * r : w;
    shared.index()[s] = i;
    shared.in_a()[s] = a;
    shared.in_b()[s] = work.model.implicit
                           ? work.model.unobserved_weight + a
                           : w * (r - work.model.offset - (work.biased ? work.biases[i] : 0.0f));
  }
  __syncthreads();
  const int tile_rows = work.shape.tile_rows, quads = 2 * tile_rows;
  const bool weighted = work.weighted();
  const auto put = [&](int q, const float4& y) {
    const int s = q / quads, f = q % quads;
    float4* col = shared.area() + f % 2 * work.plane + s * tile_rows + f / 2;
    *col = y;
    if (!weighted) return;
    const float a = shared.in_a()[s];
    col[2 * work.plane] = {a * y.x, a * y.y, a * y.z, a * y.w};
  };
  const int total = count * quads, step = blockDim.x;
  int q = threadIdx.x;
  if (work.vector_rows && work.shape.k % kTile == 0) {
    constexpr int kInFlight = 2;  // loads, to hide their latency
#pragma unroll 1
    for (; q + (kInFlight - 1) * step < total; q += kInFlight * step) {
      float4 y[kInFlight];
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) {
        const int at = q + u * step;
        const std::int32_t i = shared.index()[at / quads];
        if (i >= 0) y[u] = reinterpret_cast<const float4*>(work.factors.row(i))[at % quads];
      }
#pragma unroll
      for (int u = 0; u < kInFlight; ++u)
        if (shared.index()[(q + u * step) / quads] >= 0) put(q + u * step, y[u]);
    }
  }
#pragma unroll 1
  for (; q < total; q += step) {
    const std::int32_t i = shared.index()[q / quads];
    if (i >= 0) put(q, load4(work.factors.row(i), 4 * (q % quads), work.shape.k, work.vector_rows));
  }
  __syncthreads();
}

/// Adds staged ratings first, first + step, .. < last to the tile.
__device__ __forceinline__ void add_staged(const RowSystems& work, const SystemShared& shared,
                                           int first, int last, int step, TileRegisters& tile) {
  const TileRole role = shared.role();
  const float4* rows = shared.area() + (work.weighted() ? 2 * work.plane : 0);
  rank_update<false>(tile, rows, shared.area(), work.plane, work.shape, role, first, last, step);
}

/// Adds staged ratings first, first + step, .. < last to value j of the right-hand side and the border.
__device__ inline void add_right_sides(const RowSystems& work, const SystemShared& shared, int j,
                                       int first, int last, int step, float& b, float& border) {
  const bool bias = j == work.shape.k;  // whose value in every rating is 1
  const int tile_rows = work.shape.tile_rows;
  const float* value =
      reinterpret_cast<const float*>(shared.area() + j % 8 / 4 * work.plane + j / 8) + j % 4;
#pragma unroll 1
  for (int s = first; s < last; s += step) {
    const float y = bias ? 1.0f : value[4 * s * tile_rows];
    b = fmaf(shared.in_b()[s], y, b);
    if (work.biased) border = fmaf(shared.in_a()[s], y, border);
  }
}

/// Sums ratings [begin, end) (absolute); all groups take turns with them. The sum is left in the tiles
/// of group 0 and in the sides of group `side`.
__device__ __forceinline__ void sum_by_all_groups(const RowSystems& work,
                                                  const SystemShared& shared, std::int64_t begin,
                                                  std::int64_t end, int side, TileRegisters& tile) {
  const int size = work.size(), slices = blockDim.x / size;
  const int slice = threadIdx.x / size, j = threadIdx.x % size;
  clear(tile);
  float b = 0, border = 0;
#pragma unroll 1
  for (std::int64_t at = begin; at < end; at += work.stage_rows) {
    const int count = static_cast<int>(min(end - at, std::int64_t{work.stage_rows}));
    stage_ratings(work, shared, count, [&](int s) { return at + s; });
    const int group = shared.role().group;
    if (group >= 0) add_staged(work, shared, group, count, work.shape.groups, tile);
    if (slice < slices) add_right_sides(work, shared, j, slice, count, slices, b, border);
    __syncthreads();
  }
  shared.sums()[threadIdx.x] = b;
  shared.sums()[blockDim.x + threadIdx.x] = border;
  __syncthreads();
  const int padded = work.side_values();
#pragma unroll 1
  for (int e = threadIdx.x; e < 2 * padded; e += blockDim.x) {
    const int value = e % padded;
    float sum = 0;
    if (value < size)
#pragma unroll 1
      for (int g = 0; g < slices; ++g)
        sum += shared.sums()[e / padded * blockDim.x + g * size + value];
    shared.side(work, side, 0)[e] = sum;
  }
  add_groups(tile, shared.area(), work.shape, shared.role());
  __syncthreads();
}

/// Sums the rows of groups [first, count) of a batch, each by its group alone into its tiles and
/// sides. `longest`: ratings of the longest.
__device__ __forceinline__ void sum_by_single_groups(const RowSystems& work,
                                                     const SystemShared& shared, int first,
                                                     int count, int longest, TileRegisters& tile) {
  const int size = work.size(), padded = work.side_values(), groups = count - first;
#pragma unroll 1
  for (int e = threadIdx.x; e < groups * 2 * padded; e += blockDim.x)
    shared.side(work, first, 0)[e] = 0;
  // Odd, so that groups that share a warp read different banks.
  const int segment = min((work.stage_rows / groups - 1) | 1, longest | 1);
#pragma unroll 1
  for (int done = 0; done < longest; done += segment) {
    const auto staged = [&](int g) {  // ratings of group first + g in this round
      return min(segment, static_cast<int>(shared.entries()[first + g]) - done);
    };
    stage_ratings(work, shared, groups * segment, [&](int s) {
      const int g = s / segment;
      return s % segment < staged(g) ? shared.begin()[first + g] + done + s % segment
                                     : std::int64_t{-1};
    });
    const int mine = shared.role().group - first;
    if (mine >= 0 && mine < groups)
      add_staged(work, shared, mine * segment, mine * segment + staged(mine), 1, tile);
#pragma unroll 1
    for (int e = threadIdx.x; e < groups * size; e += blockDim.x) {
      const int g = e / size, j = e % size;
      float* b = shared.side(work, first + g, 0) + j;
      float sum = b[0], border = b[padded];
      add_right_sides(work, shared, j, g * segment, g * segment + staged(g), 1, sum, border);
      b[0] = sum;
      b[padded] = border;
    }
    __syncthreads();
  }
}

}  // namespace gradmill::cuda
