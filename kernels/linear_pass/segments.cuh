// Sums over the rows of a sparse matrix, whatever their lengths: the walk over rows and entries is cut
// into pieces of as many steps each, where a step is an entry or the end of a row.
// Source: Merrill, Garland, "Merge-based parallel sparse matrix-vector multiplication", SC'16.
#pragma once

#include <cstdint>

#include "kernels/warp.cuh"
#include "runtime/view.h"

namespace gradmill::cuda {

/// Rows of which entry e is indices[e], values[e] (no values: 1), e from offsets[r] - origin.
struct Segments {
  const std::int64_t* offsets = nullptr;  // [rows + 1]
  std::int64_t rows = 0;
  std::int64_t most_entries = 0;         // at least as many as there are
  const std::int64_t* origin = nullptr;  // its value is subtracted from offsets; none: 0
  const std::int32_t* indices = nullptr;
  const float* values = nullptr;

  explicit Segments(const CsrView<const float>& m)
      : offsets(m.offsets),
        rows(m.rows),
        most_entries(m.nnz),
        indices(m.indices),
        values(m.values) {}
  Segments() = default;

  std::int64_t most_steps() const { return rows + most_entries; }
  __device__ std::int64_t offset(std::int64_t r) const {
    return offsets[r] - (origin ? *origin : 0);
  }
  __device__ std::int64_t steps() const { return rows + offsets[rows] - offsets[0]; }
  /// Steps before the first of row r.
  __device__ std::int64_t steps_before(std::int64_t r) const { return offsets[r] - offsets[0] + r; }
  /// How many rows have ended within the first `steps` steps.
  __device__ std::int64_t rows_ended(std::int64_t steps) const {
    const std::int64_t first = offsets[0];
    std::int64_t low = 0, high = rows;  // the answer is in [low, high]
    while (low < high) {
      const std::int64_t middle = high - (high - low) / 2;
      if (offsets[middle] - first + middle <= steps)
        low = middle;
      else
        high = middle - 1;
    }
    return low;
  }
};

/// A piece of the walk: it ends rows row0 .. row1, and passes entries entry0 .. entry1.
struct Piece {
  std::int64_t row0, row1, entry0, entry1;
  bool began_before;  // row0, which ends here, has entries in earlier pieces
};

__device__ inline Piece piece_between(const Segments& s, std::int64_t row0, std::int64_t row1,
                                      std::int64_t entry0, std::int64_t entry1) {
  return {row0, row1, entry0, entry1, row0 < row1 && s.offset(row0) < entry0};
}

/// Where a piece begins: after so many rows.
__device__ inline std::int64_t first_row(const Segments& s, std::int64_t piece,
                                         std::int64_t steps_each, std::int64_t& entry) {
  const std::int64_t steps = min(piece * steps_each, s.steps());
  const std::int64_t row = s.rows_ended(steps);
  entry = s.offset(0) + steps - row;
  return row;
}

/// By the first two lanes of a warp; the same in all lanes.
__device__ inline Piece piece_of_warp(const Segments& s, std::int64_t piece,
                                      std::int64_t steps_each) {
  const int lane = threadIdx.x % kWarp;
  std::int64_t row = 0, entry = 0;
  if (lane < 2) row = first_row(s, piece + lane, steps_each, entry);
  return piece_between(s, __shfl_sync(kAllLanes, row, 0), __shfl_sync(kAllLanes, row, 1),
                       __shfl_sync(kAllLanes, entry, 0), __shfl_sync(kAllLanes, entry, 1));
}

/// Inclusive sums over the lanes from `start` (each lane's own) to the lane itself.
__device__ inline float segmented_scan(float value, int start) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const float below = __shfl_up_sync(kAllLanes, value, distance);
    if (lane - distance >= start) value += below;
  }
  return value;
}

}  // namespace gradmill::cuda
