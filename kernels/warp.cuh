// What the CUDA kernels share: warps, sums in a fixed order, guarded vector loads.
#pragma once

#include <cstdint>

namespace gradmill::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

/// Sum over groups of `Width` consecutive lanes, in every lane; a butterfly, so the order is fixed.
template <int Width = kWarp, class T>
__device__ T lane_sum(T value) {
#pragma unroll
  for (int half = Width / 2; half > 0; half /= 2) value += __shfl_xor_sync(kAllLanes, value, half);
  return value;
}

/// Whether rows of this table can be read as float4: 16-byte aligned, stride a multiple of 4.
__host__ __device__ inline bool has_vector_rows(const void* data, std::int64_t stride) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0 && stride % 4 == 0;
}

/// Values f .. f + 3 of a row of k values; 0 beyond k, which is not read.
__device__ inline float4 load4(const float* row, int f, int k, bool vector) {
  if (vector && f + 4 <= k) return *reinterpret_cast<const float4*>(row + f);
  return {f < k ? row[f] : 0.0f, f + 1 < k ? row[f + 1] : 0.0f, f + 2 < k ? row[f + 2] : 0.0f,
          f + 3 < k ? row[f + 3] : 0.0f};
}

__device__ inline void store4(float* row, int f, int k, bool vector, float4 v) {
  if (vector && f + 4 <= k) {
    *reinterpret_cast<float4*>(row + f) = v;
    return;
  }
  if (f < k) row[f] = v.x;
  if (f + 1 < k) row[f + 1] = v.y;
  if (f + 2 < k) row[f + 2] = v.z;
  if (f + 3 < k) row[f + 3] = v.w;
}

__device__ inline float dot4(float4 a, float4 b) {
  return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}

template <class T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace gradmill::cuda
