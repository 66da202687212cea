// The inner loop of Gram matrices and of Cholesky factors: a tile of a product, held in registers.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/simd.h"

namespace gradmill::simd {

/// 8 x 3 sums, 3 values and a broadcast fill AVX-512's 32 registers; 4 x 3 and 4 AVX2's 16.
inline constexpr int kTileRows = kLanes == 16 ? 8 : 4;
inline constexpr int kTileVecs = 3;

template <int kVecs, int kRows = kTileRows>
using Tile = Vec[kRows][kVecs > 0 ? kVecs : 1];

/// tile[r][v] = sum over e < count of left[e * left_step + r * left_row] * right[e * right_step + v],
/// v counting vectors.
template <int kVecs, int kRows>
inline __attribute__((always_inline)) void multiply(const float* left, std::int64_t left_step,
                                                    std::int64_t left_row, const float* right,
                                                    std::int64_t right_step, std::int64_t count,
                                                    Tile<kVecs, kRows>& tile) {
  Tile<kVecs, kRows> sums = {};
  for (std::int64_t e = 0; e < count; ++e, left += left_step, right += right_step) {
    Vec values[kVecs];
#pragma GCC unroll 3
    for (int v = 0; v < kVecs; ++v) values[v] = in_register(load(right + v * kLanes));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec scale = broadcast(left[r * left_row]);
#pragma GCC unroll 3
      for (int v = 0; v < kVecs; ++v) sums[r][v] += scale * values[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVecs; ++v) tile[r][v] = sums[r][v];
}

/// v with lane i + kShift (modulo kLanes) in lane i.
template <int kShift, int... kLane>
inline Vec turned(Vec v, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(v, v, ((kLane + kShift) % kLanes)...);
}
template <int kShift>
inline Vec turned(Vec v) {
  return turned<kShift>(v, std::make_integer_sequence<int, kLanes>{});
}

/// A symmetric block of kLanes x kLanes products in few vectors: lane i of vector s is the product of
/// components i and i + s (modulo kLanes). The shifts up to half a turn have every pair.
inline constexpr int kShifts = kLanes / 2 + 1;

/// What multiply does for a tile of rows kLeft and, at the same time, with the vectors at `left_block`
/// and `right_block`: turned[s - kFirst] = sum of left_block * right_block turned by s, for s in
/// [kFirst, kLast).
template <int kVecs, int kFirst, int kLast, int kRows = kTileRows>
inline __attribute__((always_inline)) void multiply_and_turn(
    const float* left, const float* left_block, const float* right, const float* right_block,
    std::int64_t step, std::int64_t count, Tile<kVecs, kRows>& tile,
    Vec (&shifts)[kLast - kFirst]) {
  Tile<kVecs, kRows> sums = {};
  Vec shifted[kLast - kFirst] = {};
  for (std::int64_t e = 0; e < count; ++e) {
    Vec values[kVecs + 1];
#pragma GCC unroll 3
    for (int v = 0; v < kVecs; ++v) values[v] = in_register(load(right + e * step + v * kLanes));
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec scale = broadcast(left[e * step + r]);
#pragma GCC unroll 3
      for (int v = 0; v < kVecs; ++v) sums[r][v] += scale * values[v];
    }
    const Vec a = in_register(load(left_block + e * step));
    const Vec b = in_register(load(right_block + e * step));
    [&]<int... kShift>(std::integer_sequence<int, kShift...>) {
      ((shifted[kShift] += a * turned<kFirst + kShift>(b)), ...);
    }
    (std::make_integer_sequence<int, kLast - kFirst>{});
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
    for (int v = 0; v < kVecs; ++v) tile[r][v] = sums[r][v];
#pragma GCC unroll 16
  for (int s = 0; s < kLast - kFirst; ++s) shifts[s] = shifted[s];
}

/// Covers the vectors [first, last) with tiles: work.operator()<kVecs>(first vector).
template <class Work>
inline void for_tiles(std::int64_t first, std::int64_t last, Work&& work) {
  for (; last - first >= kTileVecs; first += kTileVecs) work.template operator()<kTileVecs>(first);
  if (last - first == 2) work.template operator()<2>(first);
  if (last - first == 1) work.template operator()<1>(first);
}

}  // namespace gradmill::simd
