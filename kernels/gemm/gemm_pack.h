// Pieces of matrices rearranged so that the inner loop of a product reads them in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/simd.h"
#include "runtime/view.h"

namespace gradmill::simd {

/// Sums are kPanelRows x kPanelVecs registers; with AVX-512 14 x 2 sums, 2 values and a broadcast.
inline constexpr int kPanelRows = kLanes == 16 ? 14 : 6;
inline constexpr int kPanelVecs = 2;
inline constexpr int kPanelCols = kPanelVecs * kLanes;

/// 16 x 16 (8 x 8) values: to[c][r] = from[r][c], rows of `to` `step` apart.
inline void transpose_square(const float* from, std::int64_t stride, float* to, std::int64_t step) {
  Vec v[kLanes];
  for (int r = 0; r < kLanes; ++r) v[r] = load(from + r * stride);
  // Halves change places at distances 1, 2, 4, …: after all rounds rows are columns.
  typedef std::int32_t Index __attribute__((vector_size(kLanes * sizeof(float))));
  for (int distance = 1; distance < kLanes; distance *= 2) {
    Index low, high;
    for (int i = 0; i < kLanes; ++i) {
      low[i] = i & distance ? kLanes + (i ^ distance) : i;
      high[i] = i & distance ? kLanes + i : i ^ distance;
    }
    for (int r = 0; r < kLanes; ++r) {
      if (r & distance) continue;
      const Vec a = v[r], b = v[r + distance];
      v[r] = __builtin_shuffle(a, b, low);
      v[r + distance] = __builtin_shuffle(a, b, high);
    }
  }
  for (int r = 0; r < kLanes; ++r) store(to + r * step, v[r]);
}

/// to[p][i] = x(first + i, p0 + p) for i < count, 0 for count <= i < width; p < depth. x is stored with
/// that row i contiguous in p (`by_row`) or with p contiguous in i.
inline void pack_panel(MatrixView<const float> x, bool by_row, std::int64_t first,
                       std::int64_t count, std::int64_t p0, std::int64_t depth, int width,
                       float* to) {
  if (!by_row) {
    for (std::int64_t p = 0; p < depth; ++p, to += width) {
      const float* row = x.row(p0 + p) + first;
      if (count == width)
        std::copy_n(row, width, to);
      else
        std::fill(std::copy_n(row, count, to), to + width, 0.0f);
    }
    return;
  }
  std::int64_t done = 0;
  if (width % kLanes == 0 && count == width)
    for (; done + kLanes <= depth; done += kLanes)
      for (int i = 0; i < width; i += kLanes)
        transpose_square(x.row(first + i) + p0 + done, x.stride, to + done * width + i, width);
  for (std::int64_t i = 0; i < width; ++i) {
    const float* row = i < count ? x.row(first + i) + p0 : nullptr;
    for (std::int64_t p = done; p < depth; ++p) to[p * width + i] = row ? row[p] : 0.0f;
  }
}

}  // namespace gradmill::simd
