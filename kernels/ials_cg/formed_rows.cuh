// Conjugate gradient steps on systems that were formed in register tiles (row_kernels.cuh): for rows
// with more ratings than shared memory holds.
#pragma once

#include "kernels/ials_cg/ials_cg.h"
#include "kernels/normal_equations/row_systems.cuh"

namespace gradmill::cuda {

inline constexpr float kConverged = 1e-20f;  // squared residual

/// A group's vectors in shared memory, in float4s of which a tile row has two. The sink's area holds
/// products [2, tile_rows, tile_rows], then 3 vectors [2, tile_rows] for each group.
struct FormedVectors {
  struct Bias {
    float x, residual, direction;
    float diagonal;  // of A; the row of A before it is side 1 of the system
  };
  float4 *products, *x, *residual, *direction;
  Bias* bias;
  float* old;  // squared residual

  static __host__ __device__ int count(const TileShape& s) {
    return 2 * s.tile_rows * (s.tile_rows + 3) + 2;
  }
  __device__ FormedVectors(float4* area, const TileShape& s, int group)
      : products(area + group * count(s)),
        x(products + 2 * s.tile_rows * s.tile_rows),
        residual(x + 2 * s.tile_rows),
        direction(residual + 2 * s.tile_rows),
        bias(reinterpret_cast<Bias*>(direction + 2 * s.tile_rows)),
        old(reinterpret_cast<float*>(bias + 1)) {}
};
static_assert(sizeof(FormedVectors::Bias) == sizeof(float4));

/// products[t] = the part of A v that tile column (or, mirrored, row) t makes.
__device__ __forceinline__ void multiply_tile(const TileRegisters& tile, const TileRole& role,
                                              const float4* v, float4* products, int tile_rows) {
  const auto dot_into = [&](int from, int to, bool transposed) {
    const float4 low = v[from], high = v[tile_rows + from];
    const float in[kTile] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float out[4] = {0, 0, 0, 0};
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int c = 0; c < kTile; ++c) {
          const int r = 4 * half + i;
          out[i] = fmaf(transposed ? tile[c][r] : tile[r][c], in[c], out[i]);
        }
      products[(half * tile_rows + from) * tile_rows + to] = {out[0], out[1], out[2], out[3]};
      do_not_load_ahead();
    }
  };
  dot_into(role.col, role.row, false);
  if (!role.diagonal()) dot_into(role.row, role.col, true);
}

__device__ inline float4 add_scaled(float4 a, float s, float4 b) {
  return {fmaf(s, b.x, a.x), fmaf(s, b.y, a.y), fmaf(s, b.z, a.z), fmaf(s, b.w, a.w)};
}

/// Float4 `at` of A v, its parts added in order.
__device__ inline float4 product_vector(const float4* products, int tile_rows, int at) {
  const float4* part = products + at / tile_rows * tile_rows * tile_rows + at % tile_rows;
  float4 sum = part[0];
#pragma unroll 1
  for (int t = 1; t < tile_rows; ++t) sum = add_scaled(sum, 1, part[t * tile_rows]);
  return sum;
}

/// Float4 `at` of a border, whose values are in order.
__device__ inline float4 border_vector(const float* border, int tile_rows, int at) {
  return reinterpret_cast<const float4*>(border)[at % tile_rows * 2 + at / tile_rows];
}

/// One warp, after the product of the tiles and x (b is where the residual will be) or the direction; border:
/// the row of A for the bias, or null.
__device__ inline void begin_steps(const FormedVectors& of, const float* border, int tile_rows) {
  FormedVectors::Bias bias{};
  if (border) bias = *of.bias;
  float now = 0, others = 0;
#pragma unroll 1
  for (int f = threadIdx.x % kWarp; f < 2 * tile_rows; f += kWarp) {
    float4 r = add_scaled(of.residual[f], -1, product_vector(of.products, tile_rows, f));
    if (border) {
      const float4 c = border_vector(border, tile_rows, f);
      r = add_scaled(r, -bias.x, c);
      others += dot4(c, of.x[f]);
    }
    of.residual[f] = of.direction[f] = r;
    now += dot4(r, r);
  }
  now = lane_sum(now);
  if (border) {
    bias.residual -= fmaf(bias.diagonal, bias.x, lane_sum(others));
    bias.direction = bias.residual;
    now = fmaf(bias.residual, bias.residual, now);
  }
  __syncwarp();  // all have read the bias
  if (threadIdx.x % kWarp != 0) return;
  *of.old = now;
  if (border) *of.bias = bias;
}
__device__ inline void take_step(const FormedVectors& of, const float* border, int tile_rows) {
  const float old = *of.old;
  if (!(old > kConverged)) return;
  constexpr int kMost = 2 * kMaxTileSize / kTile / kWarp;
  float4 product[kMost];
  float curvature = 0, now = 0, others = 0;
  FormedVectors::Bias bias{};
  if (border) bias = *of.bias;
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const int f = i * kWarp + threadIdx.x % kWarp;
    if (f >= 2 * tile_rows) continue;
    product[i] = product_vector(of.products, tile_rows, f);
    if (border) {
      const float4 c = border_vector(border, tile_rows, f);
      product[i] = add_scaled(product[i], bias.direction, c);
      others += dot4(c, of.direction[f]);
    }
    curvature += dot4(of.direction[f], product[i]);
  }
  const float bias_product = border ? fmaf(bias.diagonal, bias.direction, lane_sum(others)) : 0;
  const float length = old / fmaf(bias.direction, bias_product, lane_sum(curvature));
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const int f = i * kWarp + threadIdx.x % kWarp;
    if (f >= 2 * tile_rows) continue;
    of.x[f] = add_scaled(of.x[f], length, of.direction[f]);
    const float4 r = of.residual[f] = add_scaled(of.residual[f], -length, product[i]);
    now += dot4(r, r);
  }
  bias.x = fmaf(length, bias.direction, bias.x);
  bias.residual = fmaf(-length, bias_product, bias.residual);
  now = fmaf(bias.residual, bias.residual, lane_sum(now));
  bias.direction = fmaf(now / old, bias.direction, bias.residual);
#pragma unroll 1
  for (int f = threadIdx.x % kWarp; f < 2 * tile_rows; f += kWarp)
    of.direction[f] = add_scaled(of.residual[f], now / old, of.direction[f]);
  __syncwarp();  // all have read the old ones
  if (threadIdx.x % kWarp != 0) return;
  *of.old = now;
  if (border) *of.bias = bias;
}

/// The sink of launch_row_systems.
struct StepRows {
  MatrixView<float> solutions;
  VectorView<float> biases;
  int steps;

  static __host__ __device__ int shared_vectors(const TileShape& shape) {
    return shape.groups * FormedVectors::count(shape);
  }

  __device__ __forceinline__ void operator()(const RowSystems& work, const SystemShared& shared,
                                             int count, const TileRegisters& tile) const {
    const TileShape& shape = work.shape;
    const int k = shape.k, tile_rows = shape.tile_rows, width = kTile * tile_rows;
    const auto value = [&](float4* vector, int j) -> float& {
      return reinterpret_cast<float*>(vector + j % kTile / 4 * tile_rows + j / kTile)[j % 4];
    };
#pragma unroll 1
    for (int e = threadIdx.x; e < count * width; e += blockDim.x) {
      const int g = e / width, j = e % width;
      const FormedVectors of(shared.area(), shape, g);
      value(of.x, j) = j < k ? solutions(shared.row()[g], j) : 0;
      value(of.residual, j) = j < k ? shared.side(work, g, 0)[j] : 0;
    }
    if (work.biased && threadIdx.x < count) {
      const int g = threadIdx.x;
      float& diagonal = shared.side(work, g, 1)[k];
      *FormedVectors(shared.area(), shape, g).bias = {
          biases[shared.row()[g]], shared.side(work, g, 0)[k], 0, diagonal + shared.ridge()[g]};
      diagonal = 0;  // what remains ends with the factors
    }
    __syncthreads();
    const int warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
#pragma unroll 1
    for (int step = 0; step <= steps; ++step) {
      const TileRole role = shared.role();
      if (role.active() && role.group < count) {
        const FormedVectors of(shared.area(), shape, role.group);
        multiply_tile(tile, role, step == 0 ? of.x : of.direction, of.products, tile_rows);
      }
      __syncthreads();
#pragma unroll 1
      for (int g = warp; g < count; g += warps) {
        const FormedVectors of(shared.area(), shape, g);
        const float* border = work.biased ? shared.side(work, g, 1) : nullptr;
        if (step == 0)
          begin_steps(of, border, tile_rows);
        else
          take_step(of, border, tile_rows);
      }
      __syncthreads();
    }
#pragma unroll 1
    for (int e = threadIdx.x; e < count * k; e += blockDim.x) {
      const int g = e / k, j = e % k;
      if (shared.entries()[g] < 0) continue;  // a heavy row that goes on
      solutions(shared.row()[g], j) = value(FormedVectors(shared.area(), shape, g).x, j);
    }
    if (work.biased && threadIdx.x < count && shared.entries()[threadIdx.x] >= 0)
      biases[shared.row()[threadIdx.x]] = FormedVectors(shared.area(), shape, threadIdx.x).bias->x;
  }
};

}  // namespace gradmill::cuda
