// Normal equations of CSR rows in register tiles, for kernels that solve them (als_solve) or write
// them out (normal_equations).
//
// The work of a half-step is a line of items: a row, or a chunk of chunk_rows ratings of a heavy row.
// Item costs have a closed-form prefix sum (ratings before it, plus row_cost for each row before it),
// so each of a fixed number of blocks finds its equal share by binary search in the row offsets:
// there is no plan to make and nothing to wait for. What a row's sums add up, and in which order,
// depends on the row alone.
//   light rows  up to kLightRatings: staged together, a group of threads to each
//   rows        the block's groups take turns with a row's ratings and add their sums up
//   heavy rows  chunk sums go to partial slots; a second kernel adds them in order
#pragma once

#include "kernels/normal_equations/normal_equations.h"
#include "kernels/normal_equations/system_tiles.cuh"

namespace gradmill::cuda {

inline constexpr int kLightRatings = 32;

/// A half-step, as the kernels need it.
struct RowSystems {
  CsrView<const float> ratings;
  VectorView<const float> weights;
  MatrixView<const float> factors;
  VectorView<const float> biases;
  MatrixView<const float> base;
  AlsWeights model;
  bool add_ridge = true;
  TileShape shape;
  bool biased = false;
  bool vector_rows = false;
  std::int64_t chunk = 0;     // ratings of a heavy row's chunk
  std::int64_t row_cost = 0;  // in ratings
  std::int64_t window = 0;    // ratings whose chunks have partial slots at a time
  float4* scratch = nullptr;  // [blocks, groups, slot]
  float4* partial = nullptr;  // [2 * window / chunk + 4, slot], the last 2 carry a row's sums over
  std::int32_t* heavy_count = nullptr;
  std::int32_t* heavy_rows = nullptr;

  __host__ __device__ int size() const { return shape.k + (biased ? 1 : 0); }
  /// A stored system: its tiles, then the right-hand side and the border, each of 8 tile_rows + 8.
  __host__ __device__ int slot_vectors() const {
    return shape.matrix_vectors() + 2 * (2 * shape.tile_rows + 2);
  }
  __device__ float* right_side(float4* slot, int side) const {
    return reinterpret_cast<float*>(slot + shape.matrix_vectors() +
                                    side * (2 * shape.tile_rows + 2));
  }
  __device__ std::int64_t position(std::int64_t row) const {
    return ratings.offsets[row] - ratings.offsets[0];
  }
  __device__ std::int64_t cost(std::int64_t row) const { return position(row) + row_cost * row; }
  __device__ float4* partial_slot(std::int64_t start, bool first_chunk) const {
    // At most one heavy row begins within a chunk's length, and at most one goes on there.
    const std::int64_t at = 2 * (start % window / chunk) + (first_chunk ? 1 : 0);
    return partial + at * slot_vectors();
  }
  __device__ float4* carry_slot(std::int64_t pass) const {
    return partial + (2 * (window / chunk) + 2 + pass % 2) * slot_vectors();
  }
};

/// An item of the line: ratings [start, start + count) of a row, relative to the first offset.
struct RowItem {
  std::int64_t row, row_start, row_end, chunk;
};

__device__ inline RowItem first_item(const RowSystems& work, std::int64_t wanted, bool by_cost) {
  const auto key = [&](std::int64_t r) { return by_cost ? work.cost(r) : work.position(r); };
  std::int64_t row = first_row(work.ratings.rows, wanted, key);
  std::int64_t chunk = 0;
  if (row > 0) {  // chunks of the row before may come later than `wanted`
    const std::int64_t entries = work.position(row) - work.position(row - 1);
    const std::int64_t next = ceil_div(wanted - key(row - 1), work.chunk);
    if (next * work.chunk < entries) {
      --row;
      chunk = next;
    }
  }
  const std::int64_t start = row < work.ratings.rows ? work.position(row) : 0;
  return {row, start, row < work.ratings.rows ? work.position(row + 1) : 0, chunk};
}

/// Shared memory of the kernels: staged rows, dumped tiles and solver slots take turns.
struct SystemShared {
  float4* area;
  float* sums;  // [2, threads] partial right-hand sides
  float* in_a;  // [stage_rows]
  float* in_b;
  std::int32_t* index;
  std::int64_t* row;      // [groups] of the parked systems
  std::int64_t* entries;  // [groups]

  static __host__ __device__ std::size_t area_vectors(const TileShape& s, int slot_vectors) {
    const int solve = s.groups * slot_vectors;
    return static_cast<std::size_t>(s.shared_vectors() > solve ? s.shared_vectors() : solve);
  }
  static std::size_t bytes(const TileShape& s, int slot_vectors) {
    return 16 * area_vectors(s, slot_vectors) +
           sizeof(std::int64_t) * 2 * static_cast<std::size_t>(s.groups) +
           sizeof(float) * static_cast<std::size_t>(2 * s.threads + 3 * s.stage_rows);
  }
  __device__ SystemShared(float4* memory, const TileShape& s, int slot_vectors) : area(memory) {
    row = reinterpret_cast<std::int64_t*>(memory + area_vectors(s, slot_vectors));
    entries = row + s.groups;
    sums = reinterpret_cast<float*>(entries + s.groups);
    in_a = sums + 2 * s.threads;
    in_b = in_a + s.stage_rows;
    index = reinterpret_cast<std::int32_t*>(in_b + s.stage_rows);
  }
};

/// Gathers the factors of ratings [begin, begin + count) (absolute), weighted and plain.
__device__ inline void stage_ratings(const RowSystems& work, const SystemShared& shared,
                                     std::int64_t begin, int count) {
  const TileShape& shape = work.shape;
#pragma unroll 1
  for (int s = threadIdx.x; s < count; s += blockDim.x) {
    const std::int64_t e = begin + s;
    const std::int32_t i = work.ratings.indices[e];
    const float r = work.ratings.values[e], w = work.weights.size ? work.weights[e] : 1.0f;
    const float a = work.model.implicit ? w * work.model.alpha * r : w;
    shared.index[s] = i;
    shared.in_a[s] = a;
    shared.in_b[s] = work.model.implicit
                         ? work.model.unobserved_weight + a
                         : w * (r - work.model.offset - (work.biased ? work.biases[i] : 0.0f));
  }
  __syncthreads();
  const int quads = 2 * shape.tile_rows;
  float4* rows = shared.area;
  float4* cols = rows + 2 * shape.plane;
#pragma unroll 1
  for (int q = threadIdx.x; q < count * quads; q += blockDim.x) {
    const int s = q / quads, f = q % quads;
    const float4 y = load4(work.factors.row(shared.index[s]), 4 * f, shape.k, work.vector_rows);
    const float a = shared.in_a[s];
    const int at = f % 2 * shape.plane + s * shape.tile_rows + f / 2;
    rows[at] = {a * y.x, a * y.y, a * y.z, a * y.w};
    cols[at] = y;
  }
  __syncthreads();
}

/// Value j of staged row s; value k is 1, the bias.
__device__ inline float staged_value(const RowSystems& work, const SystemShared& shared, int s,
                                     int j) {
  if (j == work.shape.k) return 1;
  const float4* cols = shared.area + 2 * work.shape.plane;
  const int at = j % 8 / 4 * work.shape.plane + s * work.shape.tile_rows + j / 8;
  return reinterpret_cast<const float*>(cols + at)[j % 4];
}

/// Adds staged rows first, first + step, .. < last to value j of the right-hand side and the border.
__device__ inline void add_right_sides(const RowSystems& work, const SystemShared& shared, int j,
                                       int first, int last, int step, float& b, float& border) {
#pragma unroll 1
  for (int s = first; s < last; s += step) {
    const float y = staged_value(work, shared, s, j);
    b = fmaf(shared.in_b[s], y, b);
    if (work.biased) border = fmaf(shared.in_a[s], y, border);
  }
}

/// Sums ratings [begin, end) (absolute) into a stored system; all of the block works on it.
__device__ __forceinline__ void sum_ratings(const RowSystems& work, const SystemShared& shared,
                                            const TileRole& role, std::int64_t begin,
                                            std::int64_t end, float4* to) {
  const TileShape& shape = work.shape;
  const int size = work.size(), slices = blockDim.x / size;
  const int slice = threadIdx.x / size, j = threadIdx.x % size;
  TileRegisters tile;
  clear(tile);
  float b = 0, border = 0;
  for (std::int64_t at = begin; at < end; at += shape.stage_rows) {
    const int count = static_cast<int>(min(end - at, std::int64_t{shape.stage_rows}));
    stage_ratings(work, shared, at, count);
    if (role.active())
      rank_update<false>(tile, shared.area, shared.area + 2 * shape.plane, shape.plane, shape, role,
                         role.group, count, shape.groups);
    if (slice < slices) add_right_sides(work, shared, j, slice, count, slices, b, border);
    __syncthreads();
  }
  if (role.active()) store_tile(tile, shared.area + threadIdx.x, shape.pitch);
  shared.sums[threadIdx.x] = b;
  shared.sums[blockDim.x + threadIdx.x] = border;
  __syncthreads();
  for (int e = threadIdx.x; e < shape.matrix_vectors(); e += blockDim.x)
    to[e] = sum_of_groups(shared.area, shape, e);
  for (int e = threadIdx.x; e < 2 * size; e += blockDim.x) {
    const int side = e / size, value = e % size;
    float sum = 0;
    for (int g = 0; g < slices; ++g) sum += shared.sums[side * blockDim.x + g * size + value];
    work.right_side(to, side)[value] = sum;
  }
  __syncthreads();
}

/// Sums `count` light rows, one per group, into stored systems.
__device__ __forceinline__ void sum_light_rows(const RowSystems& work, const SystemShared& shared,
                                               const TileRole& role, std::int64_t row, int count,
                                               float4* to) {
  const TileShape& shape = work.shape;
  const std::int64_t* offsets = work.ratings.offsets + row;
  const std::int64_t begin = offsets[0];
  stage_ratings(work, shared, begin, static_cast<int>(offsets[count] - begin));
  if (role.active() && role.group < count) {
    TileRegisters tile;
    clear(tile);
    rank_update<false>(tile, shared.area, shared.area + 2 * shape.plane, shape.plane, shape, role,
                       static_cast<int>(offsets[role.group] - begin),
                       static_cast<int>(offsets[role.group + 1] - begin), 1);
    store_tile(tile, to + role.group * work.slot_vectors() + role.tile, shape.tiles);
  }
  const int size = work.size();
  for (int e = threadIdx.x; e < count * size; e += blockDim.x) {
    const int g = e / size, j = e % size;
    float b = 0, border = 0;
    add_right_sides(work, shared, j, static_cast<int>(offsets[g] - begin),
                    static_cast<int>(offsets[g + 1] - begin), 1, b, border);
    float4* slot = to + g * work.slot_vectors();
    work.right_side(slot, 0)[j] = b;
    work.right_side(slot, 1)[j] = border;
  }
  __syncthreads();
}

/// A block's share of the line ends where an item's position or cost reaches these.
struct Share {
  std::int64_t last_position, last_cost;

  __device__ bool ends_before(const RowSystems& work, std::int64_t row, std::int64_t start) const {
    return start >= last_position || start + work.row_cost * row >= last_cost;
  }
};

/// How many rows from this one on are light, fit into the stage and are in the block's share; at
/// most `most`. Every warp finds the same.
__device__ inline int count_light_rows(const RowSystems& work, const RowItem& item,
                                       const Share& share, int most) {
  const int lane = threadIdx.x % kWarp;
  const std::int64_t row = item.row + lane;
  bool good = false;
  if (lane < most && row < work.ratings.rows) {
    const std::int64_t start = work.position(row), end = work.position(row + 1);
    good = end - start <= kLightRatings && end - item.row_start <= work.shape.stage_rows &&
           !share.ends_before(work, row, start);
  }
  const unsigned rejected = ~__ballot_sync(kAllLanes, good);
  return rejected ? __ffs(static_cast<int>(rejected)) - 1 : kWarp;
}

/// Ridge and base, and 1 on the diagonal beyond k.
__device__ __forceinline__ void add_constants(const RowSystems& work, const TileRole& role,
                                              float ridge_value, TileRegisters& tile) {
  const int k = work.shape.k;
#pragma unroll
  for (int i = 0; i < kTile; ++i) {
    const int r = role.row * kTile + i;
    if (work.add_ridge && work.base.rows && r < k) {
      const bool vector = has_vector_rows(work.base.data, work.base.stride);
      const float4 low = load4(work.base.row(r), role.col * kTile, k, vector);
      const float4 high = load4(work.base.row(r), role.col * kTile + 4, k, vector);
      tile[i][0] += low.x;
      tile[i][1] += low.y;
      tile[i][2] += low.z;
      tile[i][3] += low.w;
      tile[i][4] += high.x;
      tile[i][5] += high.y;
      tile[i][6] += high.z;
      tile[i][7] += high.w;
    }
    if (role.diagonal()) tile[i][i] += r < k ? (work.add_ridge ? ridge_value : 0) : 1;
  }
}

/// Takes the tiles of `count` stored systems, adds what is constant, and hands them to the sink.
template <class Sink>
__device__ __forceinline__ void finish_systems(const RowSystems& work, const SystemShared& shared,
                                               const TileRole& role, int count, TileRegisters& tile,
                                               float4* slots, const Sink& sink) {
  __syncthreads();
  if (role.active() && role.group < count)
    add_constants(work, role, ridge(work.model, shared.entries[role.group]), tile);
  sink(work, shared, role, count, tile, slots);
  __syncthreads();
}

/// Pass `pass` over the line: all items that begin in its window of positions.
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void row_systems_kernel(
    RowSystems work, Sink sink, std::int64_t pass, bool last_pass) {
  extern __shared__ float4 memory[];
  const TileShape& shape = work.shape;
  const SystemShared shared(memory, shape, Sink::slot_vectors(shape));
  const TileRole role(shape);
  const std::int64_t rows = work.ratings.rows, origin = work.ratings.offsets[0];
  const auto by_position = [&](std::int64_t r) { return work.position(r); };
  const std::int64_t from = pass * work.window, to = from + work.window;
  const std::int64_t low = from + work.row_cost * (pass ? first_row(rows, from, by_position) : 0);
  const std::int64_t high =
      last_pass ? work.cost(rows) : to + work.row_cost * first_row(rows, to, by_position);
  const auto border = [&](std::int64_t block) {
    return low + static_cast<std::int64_t>(static_cast<double>(high - low) * block / gridDim.x);
  };
  constexpr std::int64_t kNoEnd = INT64_MAX;
  const Share share{last_pass ? kNoEnd : to,
                    blockIdx.x + 1 == gridDim.x ? kNoEnd : border(blockIdx.x + 1)};
  RowItem item =
      blockIdx.x == 0 ? first_item(work, from, false) : first_item(work, border(blockIdx.x), true);
  float4* slots = work.scratch + std::int64_t{blockIdx.x} * shape.groups * work.slot_vectors();
  int parked = 0;
  auto finish = [&] {
    __syncthreads();
    TileRegisters tile;
    clear(tile);
    if (role.active() && role.group < parked)
      add_tile(tile, slots + role.group * work.slot_vectors() + role.tile, shape.tiles);
    finish_systems(work, shared, role, parked, tile, slots, sink);
    parked = 0;
  };
  auto go_to_row = [&](std::int64_t row) {
    item = {row, row < rows ? work.position(row) : 0, row < rows ? work.position(row + 1) : 0, 0};
  };

  while (item.row < rows) {
    const std::int64_t start = item.row_start + item.chunk * work.chunk;
    const std::int64_t entries = item.row_end - item.row_start;
    if (share.ends_before(work, item.row, start)) break;
    if (entries > work.chunk) {
      const std::int64_t end = min(start + work.chunk, item.row_end);
      sum_ratings(work, shared, role, origin + start, origin + end,
                  work.partial_slot(start, item.chunk == 0));
      if (threadIdx.x == 0 && (item.chunk == 0 || start - work.chunk < from))
        work.heavy_rows[atomicAdd(work.heavy_count, 1)] = static_cast<std::int32_t>(item.row);
      if (end < item.row_end)
        ++item.chunk;
      else
        go_to_row(item.row + 1);
      continue;
    }
    float4* slot = slots + parked * work.slot_vectors();
    const int light = count_light_rows(work, item, share, shape.groups - parked);
    const int taken = max(light, 1);
    if (light > 1)
      sum_light_rows(work, shared, role, item.row, light, slot);
    else
      sum_ratings(work, shared, role, origin + start, origin + item.row_end, slot);
    if (threadIdx.x < taken) {
      shared.row[parked + threadIdx.x] = item.row + threadIdx.x;
      shared.entries[parked + threadIdx.x] =
          work.position(item.row + threadIdx.x + 1) - work.position(item.row + threadIdx.x);
    }
    parked += taken;
    go_to_row(item.row + taken);
    if (parked == shape.groups) finish();
  }
  if (parked) finish();
}

/// Adds the chunk sums of the pass's heavy rows in order, a group to a row, and finishes the rows
/// that end in this pass; the sums of the one that goes on are carried over.
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void heavy_rows_kernel(
    RowSystems work, Sink sink, std::int64_t pass, bool last_pass) {
  extern __shared__ float4 memory[];
  const TileShape& shape = work.shape;
  const SystemShared shared(memory, shape, Sink::slot_vectors(shape));
  const TileRole role(shape);
  float4* slots = work.scratch + std::int64_t{blockIdx.x} * shape.groups * work.slot_vectors();
  const std::int64_t from = pass * work.window;
  const std::int64_t to = last_pass ? INT64_MAX : from + work.window;
  const int rows = *work.heavy_count;
  const int each = min(shape.groups, ceil_div(rows, static_cast<int>(gridDim.x)));
  for (int first = blockIdx.x * each; first < rows; first += gridDim.x * each) {
    const int count = min(each, rows - first);
    TileRegisters tile;
    clear(tile);
    for (int g = 0; g < count; ++g) {
      const std::int64_t row = work.heavy_rows[first + g], start = work.position(row),
                         end = work.position(row + 1);
      const std::int64_t first_chunk = start >= from ? 0 : ceil_div(from - start, work.chunk);
      const std::int64_t chunks = ceil_div(min(end, to) - start, work.chunk);
      const bool mine = role.active() && role.group == g, ends = end <= start + chunks * work.chunk;
      for (int e = threadIdx.x; e < 2 * work.size(); e += blockDim.x) {
        const int side = e / work.size(), j = e % work.size();
        float sum = first_chunk ? work.right_side(work.carry_slot(pass), side)[j] : 0;
#pragma unroll 1
        for (std::int64_t c = first_chunk; c < chunks; ++c)
          sum += work.right_side(work.partial_slot(start + c * work.chunk, c == 0), side)[j];
        float4* to_slot = ends ? slots + g * work.slot_vectors() : work.carry_slot(pass + 1);
        work.right_side(to_slot, side)[j] = sum;
      }
      if (threadIdx.x == 0) {
        shared.row[g] = row;
        shared.entries[g] = ends ? end - start : -1;
      }
      if (!mine) continue;
      if (first_chunk) add_tile(tile, work.carry_slot(pass) + role.tile, shape.tiles);
#pragma unroll 1
      for (std::int64_t c = first_chunk; c < chunks; ++c)
        add_tile(tile, work.partial_slot(start + c * work.chunk, c == 0) + role.tile, shape.tiles);
      if (!ends) store_tile(tile, work.carry_slot(pass + 1) + role.tile, shape.tiles);
    }
    finish_systems(work, shared, role, count, tile, slots, sink);
  }
}

}  // namespace gradmill::cuda
