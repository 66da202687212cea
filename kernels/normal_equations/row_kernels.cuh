// Normal equations of CSR rows in register tiles, for kernels that solve them (als_solve) or write
// them out (normal_equations). Blocks share the rows as a RowLine. A block takes as many rows of its
// share as it has threads, sorts them by length, and builds and finishes as many at a time as it has
// groups:
//   rows        each by its own group, in step with the others, which have rows of about its length;
//               a system stays in registers from its first rating on
//   long rows   all groups take turns with the ratings; the sum waits in shared memory
//   heavy rows  chunk sums go to partial slots; a second kernel adds them in order
// How a row is summed depends on its length alone.
#pragma once

#include "kernels/normal_equations/sum_ratings.cuh"

namespace gradmill::cuda {

/// Takes the next rows of the share that are not heavy and sorts them, the longest first; returns how
/// many.
__device__ inline int take_rows(const RowSystems& work, const SystemShared& shared) {
  const RowLine& line = work.line;
  const Progress at = *shared.progress;
  const RowItem item{at.item.row + threadIdx.x, 0};
  bool good = at.item.chunk == 0 && at.share.holds(line, item);
  const std::int64_t entries = good ? line.entries(item.row) : 0;
  good = good && entries <= line.chunk;
  const unsigned rejected = ~__ballot_sync(kAllLanes, good);
  if (threadIdx.x % kWarp == 0)
    shared.votes[threadIdx.x / kWarp] = rejected ? __ffs(static_cast<int>(rejected)) - 1 : kWarp;
  const int length = static_cast<int>(entries);
  shared.window_length[threadIdx.x] = length;
  __syncthreads();
  int count = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) {
    count += shared.votes[warp];
    if (shared.votes[warp] < kWarp) break;
  }
  const int mine = threadIdx.x;
  int rank = 0;
  if (mine < count)
    for (int other = 0; other < count; ++other) {
      const int theirs = shared.window_length[other];
      rank += theirs > length || (theirs == length && other < mine);
    }
  __syncthreads();
  if (mine < count) {
    shared.window_row[rank] = static_cast<std::int32_t>(item.row);
    shared.window_length[rank] = length;
  }
  if (mine == 0) shared.progress->item.row += count;
  __syncthreads();
  return count;
}

/// Sums the chunk of a heavy row that comes next; false if the share has come to its end.
__device__ __forceinline__ bool sum_chunk(const RowSystems& work, const SystemShared& shared,
                                          const TileRole& role, std::int64_t from) {
  const RowLine& line = work.line;
  const RowItem item = shared.progress->item;
  if (!shared.progress->share.holds(line, item)) return false;
  const std::int64_t start = line.start(item), begin = line.offsets[0] + start;
  const std::int64_t end = min(begin + line.chunk, line.offsets[item.row + 1]);
  float4* to = work.partial_slot(start, item.chunk == 0);
  __syncthreads();
  if (threadIdx.x == 0) {
    shared.progress->item = line.next(item);
    if (item.chunk == 0 || start - line.chunk < from)  // the first one here
      work.heavy_rows[atomicAdd(work.heavy_count, 1)] = static_cast<std::int32_t>(item.row);
  }
  TileRegisters tile;
  sum_by_all_groups(work, shared, role, begin, end, 0, tile);
  if (role.group == 0) store_tile(tile, to + role.tile, work.shape.tiles);
  const auto* sides = reinterpret_cast<const float4*>(shared.sides);
  for (int e = threadIdx.x; e < 2 * work.side_values() / 4; e += blockDim.x)
    to[work.shape.matrix_vectors() + e] = sides[e];
  __syncthreads();
  return true;
}

__device__ __forceinline__ float4 base_vector(const RowSystems& work, int row, int col) {
  if (row >= work.shape.k) return {0, 0, 0, 0};
  return load4(work.base.row(row), col, work.shape.k,
               has_vector_rows(work.base.data, work.base.stride));
}

/// Brings the base's tiles into shared memory.
__device__ inline void keep_base(const RowSystems& work, const SystemShared& shared) {
  for (int e = threadIdx.x; e < work.shape.matrix_vectors(); e += blockDim.x) {
    const int vector = e / work.shape.tiles;
    int row, col;
    tile_position(e % work.shape.tiles, work.shape.tile_rows, row, col);
    shared.base[e] = base_vector(work, row * kTile + vector / 2, col * kTile + vector % 2 * 4);
  }
}

/// Ridge and base, and 1 on the diagonal beyond k.
__device__ __forceinline__ void add_constants(const RowSystems& work, const SystemShared& shared,
                                              const TileRole& role, TileRegisters& tile) {
  if (work.base_on_chip) {
    add_tile(tile, shared.base + role.tile, work.shape.tiles);
  } else if (work.has_base()) {
#pragma unroll
    for (int v = 0; v < kTileVectors; ++v) {
      const int r = v / 2, c = v % 2 * 4;
      const float4 x = base_vector(work, role.row * kTile + r, role.col * kTile + c);
      tile[r][c] += x.x;
      tile[r][c + 1] += x.y;
      tile[r][c + 2] += x.z;
      tile[r][c + 3] += x.w;
    }
  }
  if (!role.diagonal()) return;
  const float ridge_value = work.add_ridge ? shared.ridge[role.group] : 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i)
    tile[i][i] += role.row * kTile + i < work.shape.k ? ridge_value : 1;
}

/// Adds what is constant to the systems in the first `count` groups' registers and hands them to the
/// sink.
template <class Sink>
__device__ __forceinline__ void finish_systems(const RowSystems& work, const SystemShared& shared,
                                               const TileRole& role, int count, TileRegisters& tile,
                                               const Sink& sink) {
  if (threadIdx.x < count)
    shared.ridge[threadIdx.x] = ridge(work.model, shared.entries[threadIdx.x]);
  __syncthreads();
  if (role.active() && role.group < count) add_constants(work, shared, role, tile);
  sink(work, shared, role, count, tile);
  __syncthreads();
}

/// Builds and finishes rows of the window from `first` on, at most one for each group; returns how
/// many.
template <class Sink>
__device__ __forceinline__ int finish_batch(const RowSystems& work, const SystemShared& shared,
                                            const TileRole& role, int first, int window,
                                            const Sink& sink) {
  const TileShape& shape = work.shape;
  int count = min(shape.groups, window - first), long_rows = 0;
  while (long_rows < count && shared.window_length[first + long_rows] > work.long_row) ++long_rows;
  if (long_rows > work.slots) count = long_rows = work.slots;
  if (threadIdx.x < count) {
    const std::int64_t row = shared.window_row[first + threadIdx.x];
    shared.row[threadIdx.x] = row;
    shared.entries[threadIdx.x] = shared.window_length[first + threadIdx.x];
    shared.begin[threadIdx.x] = work.ratings.offsets[row];
  }
  __syncthreads();
  TileRegisters tile;
#pragma unroll 1
  for (int i = 0; i < long_rows; ++i) {
    sum_by_all_groups(work, shared, role, shared.begin[i], shared.begin[i] + shared.entries[i], i,
                      tile);
    if (role.group == 0)
      store_tile(tile, shared.slots + i * shape.matrix_vectors() + role.tile, shape.tiles);
  }
  __syncthreads();
  clear(tile);
  if (role.active() && role.group < long_rows)
    load_tile(tile, shared.slots + role.group * shape.matrix_vectors() + role.tile, shape.tiles);
  if (long_rows < count)
    sum_by_single_groups(work, shared, role, long_rows, count,
                         shared.window_length[first + long_rows], tile);
  __syncthreads();
  finish_systems(work, shared, role, count, tile, sink);
  return count;
}

/// The items that begin in positions [from, to).
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void row_systems_kernel(
    RowSystems work, Sink sink, std::int64_t from, std::int64_t to) {
  extern __shared__ float4 memory[];
  const SystemShared shared(memory, work, Sink::shared_vectors(work.shape));
  const TileRole role(work.shape);
  if (threadIdx.x == 0) {
    const RowShare share = row_share(work.line, from, to, blockIdx.x, gridDim.x);
    *shared.progress = {share.first, share};
  }
  if (work.base_on_chip) keep_base(work, shared);
  __syncthreads();
  while (true) {
    const int window = take_rows(work, shared);
    for (int first = 0; first < window;)
      first += finish_batch(work, shared, role, first, window, sink);
    if (window == 0 && !sum_chunk(work, shared, role, from)) break;
  }
}

/// Adds the chunk sums of heavy row `row` that positions [from, to) have, in order, into the tiles
/// and sides of a group; the sums of a row that goes on are carried over. True if the row ends here.
__device__ __forceinline__ bool add_chunks(const RowSystems& work, const SystemShared& shared,
                                           const TileRole& role, int group, std::int64_t row,
                                           std::int64_t from, std::int64_t to,
                                           TileRegisters& tile) {
  const RowLine& line = work.line;
  const std::int64_t start = line.position(row), end = start + line.entries(row);
  const std::int64_t first = start >= from ? 0 : ceil_div(from - start, line.chunk);
  const std::int64_t chunks = ceil_div(min(end, to) - start, line.chunk);
  const bool ends = end <= start + chunks * line.chunk;
  const float4* carried = work.carry_slot(from / work.window);
  float4* carry = work.carry_slot(from / work.window + 1);
  const int tiles = work.shape.tiles, matrix = work.shape.matrix_vectors();
  if (role.group == group) {
    if (first) add_tile(tile, carried + role.tile, tiles);
#pragma unroll 1
    for (std::int64_t c = first; c < chunks; ++c)
      add_tile(tile, work.partial_slot(start + c * line.chunk, c == 0) + role.tile, tiles);
    if (!ends) store_tile(tile, carry + role.tile, tiles);
  }
  auto* sides = reinterpret_cast<float4*>(shared.side(work, group, 0));
  for (int e = threadIdx.x; e < 2 * work.side_values() / 4; e += blockDim.x) {
    float4 sum = first ? carried[matrix + e] : float4{0, 0, 0, 0};
#pragma unroll 4
    for (std::int64_t c = first; c < chunks; ++c) {
      const float4 x = work.partial_slot(start + c * line.chunk, c == 0)[matrix + e];
      sum = {sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w};
    }
    sides[e] = sum;
    if (!ends) carry[matrix + e] = sum;
  }
  return ends;
}

/// Finishes the heavy rows of positions [from, to) that end there.
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void heavy_rows_kernel(
    RowSystems work, Sink sink, std::int64_t from, std::int64_t to) {
  extern __shared__ float4 memory[];
  const TileShape& shape = work.shape;
  const SystemShared shared(memory, work, Sink::shared_vectors(shape));
  const TileRole role(shape);
  if (work.base_on_chip) keep_base(work, shared);
  const int rows = *work.heavy_count;
  const int each = min(shape.groups, ceil_div(rows, static_cast<int>(gridDim.x)));
  for (int first = blockIdx.x * each; first < rows; first += gridDim.x * each) {
    const int count = min(each, rows - first);
    TileRegisters tile;
    clear(tile);
    for (int g = 0; g < count; ++g) {
      const std::int64_t row = work.heavy_rows[first + g];
      const bool ends = add_chunks(work, shared, role, g, row, from, to, tile);
      if (threadIdx.x != 0) continue;
      shared.row[g] = row;
      shared.entries[g] = ends ? work.line.entries(row) : -1;
    }
    __syncthreads();
    finish_systems(work, shared, role, count, tile, sink);
  }
}

}  // namespace gradmill::cuda
