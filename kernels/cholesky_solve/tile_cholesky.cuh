// Cholesky solver for matrices in register tiles, one per group of a block, all groups in step.
// Source: the right-looking blocked algorithm, Golub, Van Loan, "Matrix Computations", alg. 4.2.3.
#pragma once

#include "kernels/normal_equations/system_tiles.cuh"

namespace gradmill::cuda {

/// Shared memory of one group. A biased system has one more row and column: they are a second
/// right-hand side (the border), whose solve gives the Schur complement of the last unknown.
struct SolveSlot {
  float4* panel;  // column p of the factor, staged like rows: low and high halves
  float* lower;   // its diagonal tile; on the diagonal 1 / L_cc
  float* b;       // right-hand side, then solution
  float* border;
  float* last;  // {corner, right-hand side, solution} of the last unknown, {failed}
};

inline constexpr int kLowerVectors = kTile * kTile / 4;
inline constexpr int kSkew = 4;  // float4s, half of the banks

/// float4s of a group's slot: as much off a multiple of 8 as a half row is long, so that groups that
/// share a warp use different banks.
__host__ __device__ inline int solve_slot_vectors(const TileShape& s) {
  const int used = 2 * kTile * s.tile_rows + kLowerVectors + kSkew + 4 * s.tile_rows + 1;
  return (used + 7) / 8 * 8 + s.tile_rows % 8;
}
__device__ inline SolveSlot solve_slot(float4* shared, const TileShape& s, int group) {
  float4* at = shared + group * solve_slot_vectors(s);
  float4* lower = at + 2 * kTile * s.tile_rows + (s.tile_rows % 8 == 0 ? group % 2 * kSkew : 0);
  float4* b = at + 2 * kTile * s.tile_rows + kLowerVectors + kSkew;
  float4* border = b + 2 * s.tile_rows;
  return {at, reinterpret_cast<float*>(lower), reinterpret_cast<float*>(b),
          reinterpret_cast<float*>(border), reinterpret_cast<float*>(border + 2 * s.tile_rows)};
}

/// Keeps the compiler from loading ahead what would not fit into registers.
__device__ __forceinline__ void do_not_load_ahead() { asm volatile("" ::: "memory"); }

/// 1 / sqrt(x) to the last bit or two.
__device__ __forceinline__ float inverse_root(float x) {
  const float r = rsqrtf(x);
  return r * fmaf(-0.5f * x * r, r, 1.5f);
}

/// Factors the diagonal tile in registers (its diagonal becomes 1 / L_cc) and solves its part of the
/// right-hand sides.
__device__ __forceinline__ void factor_diagonal(TileRegisters& a, const SolveSlot& slot, int p,
                                                bool biased) {
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
  if (failed) slot.last[3] = 1;
#pragma unroll 1
  for (int side = 0; side < (biased ? 2 : 1); ++side) {
    float* b = (side ? slot.border : slot.b) + p * kTile;
#pragma unroll
    for (int r = 0; r < kTile; ++r) {
      float z = b[r];
#pragma unroll
      for (int c = 0; c < r; ++c) z = fmaf(-a[r][c], b[c], z);
      b[r] = z * a[r][r];
    }
  }
  if (!biased) return;
  float corner = slot.last[0], rhs = slot.last[1];
#pragma unroll 1
  for (int r = p * kTile; r < (p + 1) * kTile; ++r) {
    corner = fmaf(-slot.border[r], slot.border[r], corner);
    rhs = fmaf(-slot.border[r], slot.b[r], rhs);
  }
  slot.last[0] = corner;
  slot.last[1] = rhs;
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
    float* b = side ? slot.border : slot.b;
#pragma unroll
    for (int r = 0; r < kTile; ++r) {
      float sum = b[role.row * kTile + r];
#pragma unroll
      for (int c = 0; c < kTile; ++c) sum = fmaf(-a[r][c], b[role.col * kTile + c], sum);
      b[role.row * kTile + r] = sum;
      do_not_load_ahead();
    }
  }
}

/// x = L⁻ᵀ z for the diagonal tile p.
__device__ __forceinline__ void back_substitute(const TileRegisters& a, const SolveSlot& slot,
                                                int p, bool biased) {
  float* b = slot.b + p * kTile;
#pragma unroll
  for (int r = kTile - 1; r >= 0; --r) {
    float x = b[r];
    if (biased) x = fmaf(-slot.border[p * kTile + r], slot.last[2], x);
#pragma unroll
    for (int c = r + 1; c < kTile; ++c) x = fmaf(-a[c][r], b[c], x);
    b[r] = x * a[r][r];
  }
}

/// Solves the block's first `count` groups' systems: on entry `a` holds the tiles, slot.b, border
/// and last the right-hand sides (visible to the block); on return slot.b and last[2] hold the
/// solutions, last[3] is not 0 if a matrix was not positive definite. All threads must call.
__device__ __forceinline__ void tile_cholesky(TileRegisters& a, const SolveSlot& slot,
                                              const TileShape& shape, const TileRole& role,
                                              int count, bool biased) {
  const bool mine = role.active() && role.group < count;
  for (int p = 0; p < shape.tile_rows; ++p) {
    if (mine && role.diagonal() && role.row == p) factor_diagonal(a, slot, p, biased);
    __syncthreads();
    if (mine && role.col == p && role.row > p) solve_below(a, slot, shape, role, biased);
    __syncthreads();
    if (mine && role.col > p)
      rank_update<true>(a, slot.panel, slot.panel, kTile * shape.tile_rows, shape, role, 0, kTile,
                        1);
  }
  if (biased) {
    if (mine && role.tile == shape.tile_rows - 1) {
      const float corner = slot.last[0];
      if (!(corner > 0 && corner < 3e38f)) slot.last[3] = 1;
      slot.last[2] = __fdividef(slot.last[1], corner);
    }
    __syncthreads();
  }
  for (int p = shape.tile_rows - 1; p >= 0; --p) {
    if (mine && role.diagonal() && role.row == p) back_substitute(a, slot, p, biased);
    __syncthreads();
    if (mine && role.row == p && role.col < p) {
#pragma unroll
      for (int c = 0; c < kTile; ++c) {
        float sum = slot.b[role.col * kTile + c];
#pragma unroll
        for (int r = 0; r < kTile; ++r) sum = fmaf(-a[r][c], slot.b[p * kTile + r], sum);
        slot.b[role.col * kTile + c] = sum;
        do_not_load_ahead();
      }
    }
    __syncthreads();
  }
}

}  // namespace gradmill::cuda
