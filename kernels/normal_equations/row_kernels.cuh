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
/// many are to be finished.
__device__ inline int take_rows(const RowSystems& work, const SystemShared& shared) {
  const RowLine& line = work.line;
  const Progress at = *shared.progress();
  const RowItem item{at.item.row + threadIdx.x, 0};
  bool good = at.item.chunk == 0 && at.share.holds(line, item);
  const std::int64_t entries = good ? line.entries(item.row) : 0;
  good = good && entries <= line.chunk;
  const unsigned rejected = ~__ballot_sync(kAllLanes, good);
  if (threadIdx.x % kWarp == 0)
    shared.votes()[threadIdx.x / kWarp] = rejected ? __ffs(static_cast<int>(rejected)) - 1 : kWarp;
  const int length = entries >= work.least_row ? static_cast<int>(entries) : -1;
  shared.window_length()[threadIdx.x] = length;
  __syncthreads();
  int count = 0;
  for (int warp = 0; warp < static_cast<int>(blockDim.x) / kWarp; ++warp) {
    count += shared.votes()[warp];
    if (shared.votes()[warp] < kWarp) break;
  }
  const int mine = threadIdx.x;
  int rank = 0;
  if (mine < count)
    for (int other = 0; other < count; ++other) {
      const int theirs = shared.window_length()[other];
      rank += theirs > length || (theirs == length && other < mine);
    }
  __syncthreads();
  if (mine < count) {
    shared.window_row()[rank] = static_cast<std::int32_t>(item.row);
    shared.window_length()[rank] = length;
  }
  if (mine == 0) shared.progress()->item.row += count;
  return __syncthreads_count(mine < count && length >= 0);
}

/// Sums the chunk of a heavy row if one comes next; false if the share has come to its end.
__device__ __forceinline__ bool sum_chunk(const RowSystems& work, const SystemShared& shared,
                                          std::int64_t from) {
  const RowLine& line = work.line;
  const RowItem item = shared.progress()->item;
  if (!shared.progress()->share.holds(line, item)) return false;
  if (line.entries(item.row) <= line.chunk) return true;
  const std::int64_t start = line.start(item), begin = line.offsets[0] + start;
  const std::int64_t end = min(begin + line.chunk, line.offsets[item.row + 1]);
  float4* to = work.partial_slot(start, item.chunk == 0);
  __syncthreads();
  if (threadIdx.x == 0) {
    shared.progress()->item = line.next(item);
    if (item.chunk == 0 || start - line.chunk < from)  // the first one here
      work.heavy_rows[atomicAdd(work.heavy_count, 1)] = static_cast<std::int32_t>(item.row);
  }
  TileRegisters tile;
  sum_by_all_groups(work, shared, begin, end, 0, tile);
  const TileRole role = shared.role();
  if (role.group == 0) store_tile(tile, to + role.tile, work.shape.tiles);
  const auto* sides = reinterpret_cast<const float4*>(shared.side(work, 0, 0));
  for (int e = threadIdx.x; e < 2 * work.side_values() / 4; e += blockDim.x)
    to[work.shape.matrix_vectors() + e] = sides[e];
  __syncthreads();
  return true;
}

__device__ __forceinline__ float4 base_vector(const RowSystems& work, int row, int col) {
  if (row >= work.shape.k) return {0, 0, 0, 0};
  return load4(work.base.row(row), col, work.shape.k, work.vector_base);
}

/// Brings the base's tiles into shared memory.
__device__ inline void keep_base(const RowSystems& work, const SystemShared& shared) {
  for (int e = threadIdx.x; e < work.shape.matrix_vectors(); e += blockDim.x) {
    const TriangleWalk at(e, work.shape.tile_rows);
    shared.base()[at.vector * work.shape.tiles + at.tile] = base_vector(work, at.row, at.col);
  }
}

/// Ridge and base, and 1 on the diagonal beyond k.
__device__ __forceinline__ void add_constants(const RowSystems& work, const SystemShared& shared,
                                              TileRegisters& tile) {
  const TileRole role = shared.role();
  if (work.base_on_chip) {
    add_tile(tile, shared.base() + role.tile, work.shape.tiles);
  } else if (work.has_base()) {
#pragma unroll
    for (int v = 0; v < kTileVectors; ++v) {
      const int r = v / 2, c = v % 2 * 4;
      const float4 x = base_vector(work, role.row * kTile + r, role.col * kTile + c);
      tile[r][c] += x.x;
      tile[r][c + 1] += x.y;
      tile[r][c + 2] += x.z;
      tile[r][c + 3] += x.w;
      if (v % 2) do_not_load_ahead();
    }
  }
  if (!role.diagonal()) return;
  const float ridge_value = work.add_ridge ? shared.ridge()[role.group] : 0;
#pragma unroll
  for (int i = 0; i < kTile; ++i)
    tile[i][i] += role.row * kTile + i < work.shape.k ? ridge_value : 1;
}

/// Adds what is constant to the systems in the first `count` groups' registers and hands them to the
/// sink.
template <class Sink>
__device__ __forceinline__ void finish_systems(const RowSystems& work, const SystemShared& shared,
                                               int count, TileRegisters& tile, const Sink& sink) {
  if (threadIdx.x < count)
    shared.ridge()[threadIdx.x] = ridge(work.model, shared.entries()[threadIdx.x]);
  __syncthreads();
  if (shared.role().group < count && shared.role().active()) add_constants(work, shared, tile);
  sink(work, shared, count, tile);
  __syncthreads();
}

/// Builds and finishes rows of the window from `first` on, at most one for each group; returns how
/// many.
template <class Sink>
__device__ __forceinline__ int finish_batch(const RowSystems& work, const SystemShared& shared,
                                            int first, int window, const Sink& sink) {
  const TileShape& shape = work.shape;
  int count = min(shape.groups, window - first), long_rows = 0;
  while (long_rows < count && shared.window_length()[first + long_rows] > work.long_row)
    ++long_rows;
  if (long_rows > work.slots) count = long_rows = work.slots;
  if (threadIdx.x < count) {
    const std::int64_t row = shared.window_row()[first + threadIdx.x];
    shared.row()[threadIdx.x] = row;
    shared.entries()[threadIdx.x] = shared.window_length()[first + threadIdx.x];
    shared.begin()[threadIdx.x] = work.ratings.offsets[row];
  }
  __syncthreads();
  TileRegisters tile;
#pragma unroll 1
  for (int i = 0; i < long_rows; ++i) {
    sum_by_all_groups(work, shared, shared.begin()[i], shared.begin()[i] + shared.entries()[i], i,
                      tile);
    const TileRole role = shared.role();
    if (role.group == 0)
      store_tile(tile, shared.slots() + i * shape.matrix_vectors() + role.tile, shape.tiles);
  }
  __syncthreads();
  clear(tile);
  if (long_rows) {
    const TileRole role = shared.role();
    if (role.active() && role.group < long_rows)
      load_tile(tile, shared.slots() + role.group * shape.matrix_vectors() + role.tile,
                shape.tiles);
  }
  if (long_rows < count)
    sum_by_single_groups(work, shared, long_rows, count, shared.window_length()[first + long_rows],
                         tile);
  __syncthreads();
  finish_systems(work, shared, count, tile, sink);
  return count;
}

/// Begins the block's next share of the items that begin in positions [from, to); false if there is none.
__device__ inline bool take_share(const RowSystems& work, const SystemShared& shared, bool first,
                                  std::int64_t from, std::int64_t to) {
  __syncthreads();
  if (threadIdx.x == 0) {
    std::int64_t number = first ? blockIdx.x : work.shares;
    if (work.shares_taken) number = atomicAdd(work.shares_taken, 1);
    const bool done = number >= work.shares;
    const RowShare share = row_share(work.line, from, to, done ? 0 : number, work.shares);
    *shared.progress() = {share.first, share, done};
  }
  __syncthreads();
  return !shared.progress()->done;
}

/// The items that begin in positions [from, to).
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void row_systems_kernel(
    RowSystems work, SharedLayout layout, Sink sink, std::int64_t from, std::int64_t to) {
  const SystemShared shared{layout};
  shared.set_role(TileRole(work.shape));
  if (work.base_on_chip) keep_base(work, shared);
  bool more = take_share(work, shared, true, from, to);
#pragma unroll 1
  while (more) {
    const int window = take_rows(work, shared);
#pragma unroll 1
    for (int first = 0; first < window;) first += finish_batch(work, shared, first, window, sink);
    if (window == 0 && !sum_chunk(work, shared, from))
      more = take_share(work, shared, false, from, to);
  }
}

/// The chunk sums that a heavy row has in a window, one after the other.
struct ChunkSums {
  const float4* carried;  // those of the windows before, or null
  const float4* first;
  int count;
  bool row_begins;  // the first chunk is the row's
  float4* carry;    // to carry them over; null if the row ends here

  __device__ ChunkSums(const RowSystems& work, std::int64_t row, std::int64_t from,
                       std::int64_t to) {
    const RowLine& line = work.line;
    const std::int64_t start = line.position(row), end = start + line.entries(row);
    const std::int64_t before = start >= from ? 0 : ceil_div(from - start, line.chunk);
    const std::int64_t chunks = ceil_div(min(end, to) - start, line.chunk);
    row_begins = before == 0;
    count = static_cast<int>(chunks - before);
    first = work.partial_slot(start + before * line.chunk, row_begins);
    carried = row_begins ? nullptr : work.carry_slot(from / work.window);
    carry = end <= start + chunks * line.chunk ? nullptr : work.carry_slot(from / work.window + 1);
  }
  /// From chunk c's slot to the next one's: see partial_slot.
  __device__ int step(const RowSystems& work, int c) const {
    return (c == 0 && row_begins ? 1 : 2) * work.partial_vectors();
  }
};

/// Adds up the chunk sums of sides, and those of tiles into the group's registers.
__device__ __forceinline__ void add_sides(const RowSystems& work, const SystemShared& shared, int g,
                                          const ChunkSums& chunks) {
  auto* sides = reinterpret_cast<float4*>(shared.side(work, g, 0));
  const int matrix = work.shape.matrix_vectors();
  for (int e = threadIdx.x; e < 2 * work.side_values() / 4; e += blockDim.x) {
    float4 sum = chunks.carried ? chunks.carried[matrix + e] : float4{0, 0, 0, 0};
    const float4* from = chunks.first + matrix + e;
    for (int c = 0; c < chunks.count; from += chunks.step(work, c++)) {
      const float4 x = *from;
      sum = {sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w};
    }
    sides[e] = sum;
    if (chunks.carry) chunks.carry[matrix + e] = sum;
  }
}
__device__ __forceinline__ void add_tiles(const RowSystems& work, const TileRole& role,
                                          const ChunkSums& chunks, TileRegisters& tile) {
  const int tiles = work.shape.tiles;
  if (chunks.carried) add_tile(tile, chunks.carried + role.tile, tiles);
  const float4* from = chunks.first + role.tile;
#pragma unroll 1
  for (int c = 0; c < chunks.count; from += chunks.step(work, c++)) add_tile(tile, from, tiles);
  if (chunks.carry) store_tile(tile, chunks.carry + role.tile, tiles);
}

/// Finishes the heavy rows of positions [from, to) that end there.
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void heavy_rows_kernel(
    RowSystems work, SharedLayout layout, Sink sink, std::int64_t from, std::int64_t to) {
  const SystemShared shared{layout};
  shared.set_role(TileRole(work.shape));
  if (work.base_on_chip) keep_base(work, shared);
  const int rows = *work.heavy_count;
  const int each = min(work.shape.groups, ceil_div(rows, static_cast<int>(gridDim.x)));
  for (int first = blockIdx.x * each; first < rows; first += gridDim.x * each) {
    const int count = min(each, rows - first);
    for (int g = 0; g < count; ++g) {
      const std::int64_t row = work.heavy_rows[first + g];
      const ChunkSums chunks(work, row, from, to);
      add_sides(work, shared, g, chunks);
      if (threadIdx.x != 0) continue;
      shared.row()[g] = row;
      shared.entries()[g] = chunks.carry ? -1 : work.line.entries(row);
    }
    TileRegisters tile;
    clear(tile);
    const TileRole role = shared.role();
    if (role.active() && role.group < count)
      add_tiles(work, role, {work, work.heavy_rows[first + role.group], from, to}, tile);
    __syncthreads();
    finish_systems(work, shared, count, tile, sink);
  }
}

}  // namespace gradmill::cuda
