// Cholesky solver for matrices in register tiles, one per group of a block, all groups in step.
// Source: the right-looking blocked algorithm, Golub, Van Loan, "Matrix Computations", alg. 4.2.3.
#pragma once

#include "kernels/normal_equations/system_tiles.cuh"

namespace gradmill::cuda {

inline constexpr int kLowerVectors = kTile * kTile / 4;
inline constexpr int kSkew = 4;  // float4s, half of the banks

/// Shared memory of one group. A biased system has one more row and column: they are a second
/// right-hand side (the border), whose solve gives the Schur complement of the last unknown.
struct SolveSlot {
  float4* panel;  // column p of the factor, staged like rows: low and high halves
  float* lower;   // its diagonal tile; on the diagonal 1 / L_cc
  int tile_rows;

  /// Right-hand side, then solution: the tiles' low halves, then the high ones.
  __device__ float4* b() const { return panel + (2 * kTile * tile_rows + kLowerVectors + kSkew); }
  __device__ float4* border() const { return b() + 2 * tile_rows; }
  /// {corner, right-hand side, solution} of the last unknown, {failed}.
  __device__ float* last() const { return reinterpret_cast<float*>(b() + 4 * tile_rows); }
};

/// Value j of a right-hand side.
__device__ inline float& side_value(float4* side, int tile_rows, int j) {
  return reinterpret_cast<float*>(side + j % kTile / 4 * tile_rows + j / kTile)[j % 4];
}

/// The eight values of a tile.
struct Eight {
  float v[kTile];

  __device__ __forceinline__ Eight(const float4* side, int tile_rows, int tile) {
    const float4 low = side[tile], high = side[tile_rows + tile];
    v[0] = low.x, v[1] = low.y, v[2] = low.z, v[3] = low.w;
    v[4] = high.x, v[5] = high.y, v[6] = high.z, v[7] = high.w;
  }
  __device__ __forceinline__ void store(float4* side, int tile_rows, int tile) const {
    side[tile] = {v[0], v[1], v[2], v[3]};
    side[tile_rows + tile] = {v[4], v[5], v[6], v[7]};
  }
};

/// float4s of a group's slot: as much off a multiple of 8 as a half row is long, so that groups that
/// share a warp use different banks.
__host__ __device__ inline int solve_slot_vectors(const TileShape& s) {
  const int used = 2 * kTile * s.tile_rows + kLowerVectors + kSkew + 4 * s.tile_rows + 1;
  return (used + 7) / 8 * 8 + s.tile_rows % 8;
}
__device__ inline SolveSlot solve_slot(float4* shared, const TileShape& s, int group) {
  float4* at = shared + group * solve_slot_vectors(s);
  float4* lower = at + 2 * kTile * s.tile_rows + (s.tile_rows % 8 == 0 ? group % 2 * kSkew : 0);
  return {at, reinterpret_cast<float*>(lower), s.tile_rows};
}

/// 1 / sqrt(x) to the last bit or two.
__device__ __forceinline__ float inverse_root(float x) {
  const float r = rsqrtf(x);
  return r * fmaf(-0.5f * x * r, r, 1.5f);
}

/// Factors the diagonal tile in registers (its diagonal becomes 1 / L_cc) and solves its part of the
/// right-hand sides.
__device__ __forceinline__ void factor_diagonal(TileRegisters& a, const SolveSlot& slot,
                                                int tile_rows, int p, bool biased) {
  bool failed = false;
#pragma unroll
  for (int c = 0; c < kTile; ++c) {
    failed |= !(a[c][c] > 0 && a[c][c] < 3e38f);
    const float inverse = inverse_root(a[c][c]);
    a[c][c] = inverse;
#pragma unroll
    for (int r = c + 1; r < kTile; ++r) a[r][c] *= inverse;
#pragma unroll
    for (int j = c + 1; j < kTile; ++j)
#pragma unroll
      for (int r = j; r < kTile; ++r) a[r][j] = fmaf(-a[r][c], a[j][c], a[r][j]);
  }
#pragma unroll
  for (int r = 0; r < kTile; ++r)
#pragma unroll
    for (int c = 0; c <= r; ++c) slot.lower[r * kTile + c] = a[r][c];
  if (failed) slot.last()[3] = 1;
  do_not_load_ahead();
#pragma unroll 1
  for (int side = 0; side < (biased ? 2 : 1); ++side) {
    float4* b = side ? slot.border() : slot.b();
    Eight z(b, tile_rows, p);
#pragma unroll
    for (int r = 0; r < kTile; ++r) {
#pragma unroll
      for (int c = 0; c < r; ++c) z.v[r] = fmaf(-a[r][c], z.v[c], z.v[r]);
      z.v[r] *= a[r][r];
    }
    z.store(b, tile_rows, p);
    do_not_load_ahead();
    if (side == 0) continue;
    float corner = slot.last()[0], last = slot.last()[1];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 x = slot.b()[half * tile_rows + p];
      const float rhs[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        corner = fmaf(-z.v[4 * half + r], z.v[4 * half + r], corner);
        last = fmaf(-z.v[4 * half + r], rhs[r], last);
      }
      do_not_load_ahead();
    }
    slot.last()[0] = corner;
    slot.last()[1] = last;
  }
}

/// A tile below the diagonal: a = a L⁻ᵀ with the diagonal tile's L; takes its part off the rows'
/// right-hand sides and leaves its columns in the panel.
__device__ __forceinline__ void solve_below(TileRegisters& a, const SolveSlot& slot,
                                            const TileShape& shape, const TileRole& role,
                                            bool biased) {
#pragma unroll
  for (int c = 0; c < kTile; ++c) {
#pragma unroll
    for (int d = 0; d < c; ++d) {
      const float l = slot.lower[c * kTile + d];
#pragma unroll
      for (int r = 0; r < kTile; ++r) a[r][c] = fmaf(-a[r][d], l, a[r][c]);
    }
    const float inverse = slot.lower[c * kTile + c];
#pragma unroll
    for (int r = 0; r < kTile; ++r) a[r][c] *= inverse;
    const int at = c * shape.tile_rows + role.row;
    slot.panel[at] = {a[0][c], a[1][c], a[2][c], a[3][c]};
    slot.panel[at + kTile * shape.tile_rows] = {a[4][c], a[5][c], a[6][c], a[7][c]};
    do_not_load_ahead();
  }
#pragma unroll 1
  for (int side = 0; side < (biased ? 2 : 1); ++side) {
    float4* b = side ? slot.border() : slot.b();
    Eight mine(b, shape.tile_rows, role.row);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 z = b[half * shape.tile_rows + role.col];
#pragma unroll
      for (int r = 0; r < kTile; ++r) {
        const float* x = &a[r][4 * half];
        mine.v[r] = mine.v[r] - x[0] * z.x - x[1] * z.y - x[2] * z.z - x[3] * z.w;
      }
      do_not_load_ahead();
    }
    mine.store(b, shape.tile_rows, role.row);
  }
}

/// x = L⁻ᵀ z for the diagonal tile p.
__device__ __forceinline__ void back_substitute(const TileRegisters& a, const SolveSlot& slot,
                                                int tile_rows, int p, bool biased) {
  Eight x(slot.b(), tile_rows, p);
  if (biased) {
    const Eight l(slot.border(), tile_rows, p);
    const float last = slot.last()[2];
#pragma unroll
    for (int r = 0; r < kTile; ++r) x.v[r] = fmaf(-l.v[r], last, x.v[r]);
  }
#pragma unroll
  for (int r = kTile - 1; r >= 0; --r) {
#pragma unroll
    for (int c = r + 1; c < kTile; ++c) x.v[r] = fmaf(-a[c][r], x.v[c], x.v[r]);
    x.v[r] *= a[r][r];
  }
  x.store(slot.b(), tile_rows, p);
}

/// Solves the block's first `count` groups' systems: on entry `a` holds the tiles, slot.b(), border
/// and last the right-hand sides (visible to the block); on return slot.b() and last[2] hold the
/// solutions, last[3] is not 0 if a matrix was not positive definite. All threads must call.
__device__ __forceinline__ void tile_cholesky(TileRegisters& a, const SolveSlot& slot,
                                              const TileShape& shape, std::uint32_t packed_role,
                                              int count, bool biased) {
#pragma unroll 1
  for (int p = 0; p < shape.tile_rows; ++p) {
    const TileRole role = unpack(packed_role);
    const bool mine = role.active() && role.group < count;
    if (mine && role.diagonal() && role.row == p)
      factor_diagonal(a, slot, shape.tile_rows, p, biased);
    __syncthreads();
    if (mine && role.col == p && role.row > p) solve_below(a, slot, shape, role, biased);
    __syncthreads();
    if (mine && role.col > p)
      rank_update<true>(a, slot.panel, slot.panel, kTile * shape.tile_rows, shape, role, 0, kTile,
                        1);
  }
  if (biased) {
    const TileRole role = unpack(packed_role);
    if (role.active() && role.group < count && role.tile == shape.tile_rows - 1) {
      const float corner = slot.last()[0];
      if (!(corner > 0 && corner < 3e38f)) slot.last()[3] = 1;
      slot.last()[2] = __fdividef(slot.last()[1], corner);
    }
    __syncthreads();
  }
#pragma unroll 1
  for (int p = shape.tile_rows - 1; p >= 0; --p) {
    const TileRole role = unpack(packed_role);
    const bool mine = role.active() && role.group < count;
    if (mine && role.diagonal() && role.row == p)
      back_substitute(a, slot, shape.tile_rows, p, biased);
    __syncthreads();
    if (mine && role.row == p && role.col < p) {
      const Eight x(slot.b(), shape.tile_rows, p);
      Eight z(slot.b(), shape.tile_rows, role.col);
#pragma unroll
      for (int c = 0; c < kTile; ++c)
#pragma unroll
        for (int r = 0; r < kTile; ++r) z.v[c] = fmaf(-a[r][c], x.v[r], z.v[c]);
      z.store(slot.b(), shape.tile_rows, role.col);
    }
    __syncthreads();
  }
}

}  // namespace gradmill::cuda
