// Short vectors of floats for CPU kernels, through GCC's vector extensions: the one place that
// knows how wide the machine's registers are.
#pragma once

#include <cstdint>

namespace gradmill::simd {

#ifdef __AVX512F__
inline constexpr int kLanes = 16;
#else
inline constexpr int kLanes = 8;
#endif
inline constexpr std::int64_t kCacheLineFloats = 16;

typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));
typedef float Vec8 __attribute__((vector_size(8 * sizeof(float))));
/// The same in memory: any alignment, any type before.
typedef float LooseVec __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

typedef float LooseVec8 __attribute__((vector_size(8 * sizeof(float)), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const LooseVec*>(p); }
inline Vec8 load8(const float* p) { return *reinterpret_cast<const LooseVec8*>(p); }
/// v in a register: the compiler would rather load it again for each use, which takes a slot each time.
inline Vec in_register(Vec v) {
  asm("" : "+v"(v));
  return v;
}
inline void store(float* p, Vec v) { *reinterpret_cast<LooseVec*>(p) = v; }
inline Vec broadcast(float x) { return x - Vec{}; }  // x - 0 is x, for -0 too

inline Vec8 fold(Vec v) {
  if constexpr (kLanes == 16)
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  else
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7);
}

/// Lane i is the sum of v[i]'s lanes: three rounds of add-and-interleave.
inline Vec8 sum_each(const Vec (&v)[8]) {
  Vec8 pairs[4], quads[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Vec8 a = fold(v[2 * i]), b = fold(v[2 * i + 1]);
    pairs[i] = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
               __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const Vec8 a = pairs[2 * i], b = pairs[2 * i + 1];
    quads[i] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
               __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  }
  return __builtin_shufflevector(quads[0], quads[1], 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(quads[0], quads[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

constexpr std::int64_t round_up(std::int64_t n, std::int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/// A row stride for n floats: whole vectors, and an odd number of cache lines, so that a column of
/// rows spreads over all sets of the cache.
constexpr std::int64_t row_stride(std::int64_t n) {
  const std::int64_t lines = (n + kCacheLineFloats - 1) / kCacheLineFloats;
  return (lines | 1) * kCacheLineFloats;
}

}  // namespace gradmill::simd
