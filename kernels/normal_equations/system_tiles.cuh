// Symmetric matrices as 8 x 8 register tiles: the common ground of the Gram, normal equation and
// Cholesky kernels. A thread owns one tile of the lower triangle, a group of `tiles` threads a
// matrix, and a block `groups` matrices, or slices of the sum that makes one.
#pragma once

#include <type_traits>

#include "kernels/warp.cuh"

namespace gradmill::cuda {

inline constexpr int kTile = 8;
inline constexpr int kTileVectors = kTile * kTile / 4;  // float4s of a tile
// Blocks of 256 threads have 128 registers each if two share a multiprocessor, blocks of 512 if they
// are alone; the 528 tiles of 249 factors and more need 544 threads, which have 96.
inline constexpr int kTileThreads = 256;
inline constexpr int kMoreTileThreads = 512;
inline constexpr int kMaxTileThreads = 544;
inline constexpr int kMaxTileSize = 256;
inline constexpr int kMaxGroups = 32;

struct TileShape {
  int k = 0;           // rows and columns
  int tile_rows = 0;   // ceil(k / 8)
  int tiles = 0;       // of the lower triangle
  int groups = 0;      // per block
  int threads = 0;     // per block, whole warps
  int pitch = 0;       // float4s from one vector of the dumped tiles to the next, 4 mod 8
  int plane = 0;       // float4s from the low to the high halves of staged rows, 4 mod 8
  int stage_rows = 0;  // rows of k values that fit into shared memory beside their weighted copies

  TileShape() = default;
  explicit TileShape(std::int64_t size)
      : k(static_cast<int>(size)), tile_rows((k + kTile - 1) / kTile) {
    tiles = tile_rows * (tile_rows + 1) / 2;
    groups = tiles > kTileThreads                ? 1
             : kTileThreads / tiles < kMaxGroups ? kTileThreads / tiles
                                                 : kMaxGroups;
    threads = (groups * tiles + kWarp - 1) / kWarp * kWarp;
    pitch = (groups * tiles + 7) / 8 * 8 + 4;
    plane = 4 * pitch - 4;
    plane = plane / 8 * 8 + 4;
    stage_rows = plane / tile_rows < 256 ? plane / tile_rows : 256;
  }
  /// float4s of a matrix stored as tiles: vector v of tile i is at v * tiles + i.
  __host__ __device__ int matrix_vectors() const { return kTileVectors * tiles; }
  /// float4s of shared memory for staged rows or for the dumped tiles of all groups.
  __host__ __device__ int shared_vectors() const {
    return kTileVectors * pitch > 4 * plane ? kTileVectors * pitch : 4 * plane;
  }
};

/// Calls f with the least of the three thread counts, as a compile-time constant, that holds a block.
template <class F>
void with_tile_threads(const TileShape& shape, const F& f) {
  if (shape.threads <= kTileThreads)
    f(std::integral_constant<int, kTileThreads>());
  else if (shape.threads <= kMoreTileThreads)
    f(std::integral_constant<int, kMoreTileThreads>());
  else
    f(std::integral_constant<int, kMaxTileThreads>());
}

/// Order of a triangle's tiles: the diagonal; then blocks of up to 8 x 8 tiles below it, column by
/// column; then what the blocks on the diagonal have below it. A quarter warp then reads tiles of a
/// staged row that are all different modulo 8 or the same: no bank conflict.
__host__ __device__ inline int tile_index(int row, int col, int tile_rows) {
  if (row == col) return row;
  const int block_row = row / 8, r = row % 8, c = col % 8, last = (tile_rows - 1) / 8;
  const int height = block_row < last ? 8 : tile_rows - 8 * last;
  if (block_row > col / 8)
    return tile_rows + 32 * block_row * (block_row - 1) + 8 * height * (col / 8) + c * height + r;
  const int below = 32 * last * (last - 1) + 8 * last * (tile_rows - 8 * last);
  return tile_rows + below + 28 * block_row + c * height - c * (c + 1) / 2 + r - c - 1;
}
__host__ __device__ inline void tile_position(int tile, int tile_rows, int& row, int& col) {
  row = col = tile;
  int rest = tile - tile_rows;
  if (rest < 0) return;
  const int last = (tile_rows - 1) / 8, last_height = tile_rows - 8 * last;
  for (int block_row = 1; block_row <= last; ++block_row) {
    const int height = block_row < last ? 8 : last_height, size = 8 * height * block_row;
    if (rest < size) {
      row = 8 * block_row + rest % height;
      col = rest / height;
      return;
    }
    rest -= size;
  }
  const int block = rest / 28 < last ? rest / 28 : last;
  const int height = block < last ? 8 : last_height;
  rest -= 28 * block;
  int c = 0;
  for (; rest >= height - 1 - c; ++c) rest -= height - 1 - c;
  row = 8 * block + c + 1 + rest;
  col = 8 * block + c;
}

/// What this thread owns; idle threads have group == -1.
struct TileRole {
  int group, tile, row, col;

  __device__ explicit TileRole(const TileShape& shape)
      : group(threadIdx.x / shape.tiles), tile(threadIdx.x % shape.tiles) {
    if (group >= shape.groups) group = -1;
    tile_position(tile, shape.tile_rows, row, col);
  }
  /// In a word, to be kept in shared memory rather than registers.
  __device__ explicit TileRole(std::uint32_t packed)
      : group(static_cast<int>(packed >> 24) - 1),
        tile(static_cast<int>(packed & 1023)),
        row(static_cast<int>(packed >> 10 & 127)),
        col(static_cast<int>(packed >> 17 & 127)) {}
  __device__ std::uint32_t packed() const {
    return static_cast<std::uint32_t>(tile | row << 10 | col << 17 | (group + 1) << 24);
  }
  __device__ bool active() const { return group >= 0; }
  __device__ bool diagonal() const { return row == col; }
};

/// A role that takes one register as long as it is not needed: the compiler may not keep its parts.
__device__ __forceinline__ TileRole unpack(std::uint32_t& packed) {
  asm volatile("" : "+r"(packed));
  return TileRole(packed);
}

using TileRegisters = float[kTile][kTile];

__device__ __forceinline__ void clear(TileRegisters& tile) {
#pragma unroll
  for (auto& row : tile)
#pragma unroll
    for (float& v : row) v = 0;
}

/// tile += (or -=) sum over staged rows s = first, first + step, .. of rows[s] cols[s]ᵀ.
/// A staged row is cut into tiles; the low and high halves of tile i are at s * tile_rows + i and a
/// plane further.
template <bool kSubtract>
__device__ __forceinline__ void rank_update(TileRegisters& tile, const float4* rows,
                                            const float4* cols, int plane, const TileShape& shape,
                                            const TileRole& role, int first, int last, int step) {
  const float4* r = rows + role.row;
  const float4* c = cols + role.col;
#pragma unroll 1
  for (int s = first; s < last; s += step) {
    const int at = s * shape.tile_rows;
    const float4 r0 = r[at], r1 = r[at + plane], c0 = c[at], c1 = c[at + plane];
    const float a[kTile] = {r0.x, r0.y, r0.z, r0.w, r1.x, r1.y, r1.z, r1.w};
    const float b[kTile] = {c0.x, c0.y, c0.z, c0.w, c1.x, c1.y, c1.z, c1.w};
#pragma unroll
    for (int i = 0; i < kTile; ++i)
#pragma unroll
      for (int j = 0; j < kTile; ++j) tile[i][j] = fmaf(kSubtract ? -a[i] : a[i], b[j], tile[i][j]);
  }
}

__device__ __forceinline__ float4 tile_vector(const TileRegisters& tile, int v) {
  const int r = v / 2, c = v % 2 * 4;
  return {tile[r][c], tile[r][c + 1], tile[r][c + 2], tile[r][c + 3]};
}

/// Writes the tile to memory where its vector v is at to[v * pitch].
__device__ __forceinline__ void store_tile(const TileRegisters& tile, float4* to, int pitch) {
#pragma unroll
  for (int v = 0; v < kTileVectors; ++v) to[v * pitch] = tile_vector(tile, v);
}

__device__ __forceinline__ void load_tile(TileRegisters& tile, const float4* from, int pitch) {
#pragma unroll
  for (int v = 0; v < kTileVectors; ++v) {
    const float4 x = from[v * pitch];
    const int r = v / 2, c = v % 2 * 4;
    tile[r][c] = x.x;
    tile[r][c + 1] = x.y;
    tile[r][c + 2] = x.z;
    tile[r][c + 3] = x.w;
  }
}

/// Keeps the compiler from loading ahead what would not fit into registers.
__device__ __forceinline__ void do_not_load_ahead() { asm volatile("" ::: "memory"); }

__device__ __forceinline__ void add_tile(TileRegisters& tile, const float4* from, int pitch) {
#pragma unroll
  for (int v = 0; v < kTileVectors; ++v) {
    const float4 x = from[v * pitch];
    const int r = v / 2, c = v % 2 * 4;
    tile[r][c] += x.x;
    tile[r][c + 1] += x.y;
    tile[r][c + 2] += x.z;
    tile[r][c + 3] += x.w;
    if (v % 2) do_not_load_ahead();
  }
}

/// Vector e of the sum of the groups' tiles in shared memory (store_tile to area + thread), in order.
__device__ inline float4 sum_of_groups(const float4* area, const TileShape& shape, int e) {
  const float4* part = area + e / shape.tiles * shape.pitch + e % shape.tiles;
  float4 sum = part[0];
  for (int g = 1; g < shape.groups; ++g) {
    const float4 x = part[g * shape.tiles];
    sum = {sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w};
  }
  return sum;
}

/// Where tile `slot` (of all groups') is dumped, to be written or read row by row: neighbours stay within
/// eight float4s, and the tiles of a row, whose numbers often differ by multiples of 8, use different
/// banks. Up to 8 tile rows (64 factors) they do so anyhow.
__device__ __forceinline__ int dump_place(const TileShape& shape, int slot) {
  return shape.tile_rows > 8 ? slot ^ (slot >> 3 & 7) : slot;
}

/// Adds the tiles of all groups up into those of group 0, in a fixed order. Shared memory: 16 vectors
/// for each tile of half of the groups. All threads must call.
__device__ __forceinline__ void add_groups(TileRegisters& tile, float4* area,
                                           const TileShape& shape, const TileRole& role) {
#pragma unroll 1
  for (int n = shape.groups, half; n > 1; n = half) {
    half = (n + 1) / 2;
    const int pitch = (n - half) * shape.tiles;
    if (role.group >= half && role.group < n)
      store_tile(tile, area + (role.group - half) * shape.tiles + role.tile, pitch);
    __syncthreads();
    if (role.active() && role.group < n - half) add_tile(tile, area + threadIdx.x, pitch);
    __syncthreads();
  }
}

/// Position e = 0 .. 16 * tiles - 1 of a row-major walk over the lower triangle's tiles in float4s:
/// consecutive e are consecutive in a matrix's row.
struct TriangleWalk {
  int row, col;  // of the first of the four values
  int vector, tile;

  __device__ TriangleWalk(int e, int tile_rows) {
    int i = static_cast<int>((sqrtf(1.0f + 0.5f * static_cast<float>(e)) - 1) * 0.5f);
    while (8 * (i + 1) * (i + 2) <= e) ++i;
    while (8 * i * (i + 1) > e) --i;
    const int rest = e - 8 * i * (i + 1), width = 2 * (i + 1);
    const int r = rest / width, c = rest % width;
    row = i * kTile + r;
    col = 4 * c;
    vector = 2 * r + c % 2;
    tile = tile_index(i, c / 2, tile_rows);
  }
};

}  // namespace gradmill::cuda
