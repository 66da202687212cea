// Normal equations of CSR rows in register tiles, for kernels that solve them (als_solve) or write
// them out (normal_equations). Blocks share the rows as a RowLine.
//   light rows  up to kLightRatings: staged together, a group of threads to each
//   rows        the block's groups take turns with a row's ratings and add their sums up
//   heavy rows  chunk sums go to partial slots; a second kernel adds them in order
#pragma once

#include "kernels/normal_equations/normal_equations.h"
#include "kernels/normal_equations/row_line.h"
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
  RowLine line;
  std::int64_t window = 0;    // ratings whose chunks have partial slots at a time
  float4* scratch = nullptr;  // [blocks, groups, slot]
  float4* partial = nullptr;  // [2 * window / chunk + 4, slot], the last 2 carry a row's sums over
  std::int32_t* heavy_count = nullptr;
  std::int32_t* heavy_rows = nullptr;

  /// From AlsSolveArgs or NormalEquationsArgs; `row_cost` as RowLine's.
  template <class Args>
  RowSystems(const Args& args, std::int64_t row_cost)
      : ratings(args.ratings),
        weights(args.weights),
        factors(args.factors),
        biases(args.biases),
        base(args.base),
        model(args.model),
        shape(args.factors.cols),
        biased(args.biases.size > 0) {
    line.row_cost = row_cost;
  }

  /// Whether ratings count differently in A; if not, staged rows need no weighted copy.
  __device__ bool weighted() const { return model.implicit || weights.size; }
  __host__ __device__ int size() const { return shape.k + (biased ? 1 : 0); }
  /// A stored system: its tiles, then the right-hand side and the border.
  __host__ __device__ int side_values() const { return kTile * (shape.tile_rows + 1); }
  __host__ __device__ int slot_vectors() const {
    return shape.matrix_vectors() + 2 * side_values() / 4;
  }
  template <class Slot>  // float4 or const float4
  __device__ auto* right_side(Slot* slot, int side) const {
    using Value = std::conditional_t<std::is_const_v<Slot>, const float, float>;
    return reinterpret_cast<Value*>(slot + shape.matrix_vectors()) + side * side_values();
  }
  __device__ float4* partial_slot(std::int64_t start, bool first_chunk) const {
    // At most one heavy row begins within a chunk's length, and at most one goes on there.
    const std::int64_t at = 2 * (start % window / line.chunk) + (first_chunk ? 1 : 0);
    return partial + at * slot_vectors();
  }
  __device__ float4* carry_slot(std::int64_t pass) const {
    return partial + (2 * (window / line.chunk) + 2 + pass % 2) * slot_vectors();
  }
};

enum class StepKind : int { done, light_rows, ratings, finish };

/// What the block does next; made by its first warp.
struct Step {
  StepKind kind;
  int count;  // rows, or systems to finish
  std::int64_t row;
  std::int64_t begin, end;  // ratings, absolute
  float4* to;
};

/// Where the block is on the line.
struct Progress {
  RowItem item;
  RowShare share;
  int parked;  // systems in the block's slots that are not finished
};

/// Shared memory of the kernels: staged rows, dumped tiles and solver slots take turns.
struct SystemShared {
  float4* area;
  float* sums;  // [2, threads] partial right-hand sides
  float* in_a;  // [stage_rows]
  float* in_b;
  std::int32_t* index;
  Step* step;
  Progress* progress;
  std::int64_t* row;      // [groups] of the parked systems
  std::int64_t* entries;  // [groups], -1: not to be finished
  float* ridge;           // [groups]

  static __host__ __device__ std::size_t area_vectors(const TileShape& s, int slot_vectors) {
    const int solve = s.groups * slot_vectors;
    return static_cast<std::size_t>(s.shared_vectors() > solve ? s.shared_vectors() : solve);
  }
  static std::size_t bytes(const TileShape& s, int slot_vectors) {
    return 16 * area_vectors(s, slot_vectors) + sizeof(Step) + sizeof(Progress) +
           sizeof(std::int64_t) * 2 * static_cast<std::size_t>(s.groups) +
           sizeof(float) * static_cast<std::size_t>(s.groups + 2 * s.threads + 3 * s.stage_rows);
  }
  __device__ SystemShared(float4* memory, const TileShape& s, int slot_vectors) : area(memory) {
    step = reinterpret_cast<Step*>(memory + area_vectors(s, slot_vectors));
    progress = reinterpret_cast<Progress*>(step + 1);
    row = reinterpret_cast<std::int64_t*>(progress + 1);
    entries = row + s.groups;
    ridge = reinterpret_cast<float*>(entries + s.groups);
    sums = ridge + s.groups;
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
  const bool weighted = work.weighted();
  const auto put = [&](int q, const float4& y) {
    const int s = q / quads, f = q % quads;
    const int at = f % 2 * shape.plane + s * shape.tile_rows + f / 2;
    cols[at] = y;
    if (!weighted) return;
    const float a = shared.in_a[s];
    rows[at] = {a * y.x, a * y.y, a * y.z, a * y.w};
  };
  const int total = count * quads, step = blockDim.x;
  int q = threadIdx.x;
  if (work.vector_rows && shape.k % kTile == 0) {
    constexpr int kInFlight = 4;  // loads, to hide their latency
#pragma unroll 1
    for (; q + (kInFlight - 1) * step < total; q += kInFlight * step) {
      float4 y[kInFlight];
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) {
        const int at = q + u * step;
        const float* row = work.factors.row(shared.index[at / quads]);
        y[u] = reinterpret_cast<const float4*>(row)[at % quads];
      }
#pragma unroll
      for (int u = 0; u < kInFlight; ++u) put(q + u * step, y[u]);
    }
  }
#pragma unroll 1
  for (; q < total; q += step)
    put(q, load4(work.factors.row(shared.index[q / quads]), 4 * (q % quads), shape.k,
                 work.vector_rows));
  __syncthreads();
}

/// The staged rows with their weights.
__device__ inline const float4* staged_rows(const RowSystems& work, const SystemShared& shared) {
  return shared.area + (work.weighted() ? 0 : 2 * work.shape.plane);
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
      rank_update<false>(tile, staged_rows(work, shared), shared.area + 2 * shape.plane,
                         shape.plane, shape, role, role.group, count, shape.groups);
    if (slice < slices) add_right_sides(work, shared, j, slice, count, slices, b, border);
    __syncthreads();
  }
  if (role.active()) store_tile(tile, shared.area + threadIdx.x, shape.pitch);
  shared.sums[threadIdx.x] = b;
  shared.sums[blockDim.x + threadIdx.x] = border;
  __syncthreads();
  for (int e = threadIdx.x; e < shape.matrix_vectors(); e += blockDim.x)
    to[e] = sum_of_groups(shared.area, shape, e);
  const int padded = work.side_values();
  for (int e = threadIdx.x; e < 2 * padded; e += blockDim.x) {
    const int side = e / padded, value = e % padded;
    float sum = 0;
    if (value < size)
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
    rank_update<false>(tile, staged_rows(work, shared), shared.area + 2 * shape.plane, shape.plane,
                       shape, role, static_cast<int>(offsets[role.group] - begin),
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

/// How many rows from this one on are light, fit into the stage and are in the block's share; at
/// most `most`.
__device__ inline int count_light_rows(const RowSystems& work, const Progress& at, int most) {
  const int lane = threadIdx.x % kWarp;
  const RowItem item{at.item.row + lane, 0};
  const RowLine& line = work.line;
  const bool good =
      lane < most && at.share.holds(line, item) && line.entries(item.row) <= kLightRatings &&
      line.position(item.row + 1) - line.position(at.item.row) <= work.shape.stage_rows;
  const unsigned rejected = ~__ballot_sync(kAllLanes, good);
  return rejected ? __ffs(static_cast<int>(rejected)) - 1 : kWarp;
}

/// The first warp decides on the next step; a row's way of summing depends on its length alone.
__device__ inline void plan_step(const RowSystems& work, const SystemShared& shared,
                                 std::int64_t from, float4* slots) {
  const RowLine& line = work.line;
  const Progress at = *shared.progress;
  const bool more = at.share.holds(line, at.item);
  Progress next = at;
  Step step{StepKind::done, 0, at.item.row, 0, 0, slots + at.parked * work.slot_vectors()};
  if (at.parked == work.shape.groups || (!more && at.parked)) {
    step.kind = StepKind::finish;
    step.count = at.parked;
    next.parked = 0;
  } else if (more) {
    const std::int64_t entries = line.entries(at.item.row), origin = line.offsets[0];
    step.begin = origin + line.start(at.item);
    if (entries > line.chunk) {  // a heavy row's chunk
      step.kind = StepKind::ratings;
      step.end = min(step.begin + line.chunk, line.offsets[at.item.row + 1]);
      step.to = work.partial_slot(step.begin - origin, at.item.chunk == 0);
      const bool first_here = at.item.chunk == 0 || step.begin - origin - line.chunk < from;
      if (first_here && threadIdx.x == 0)
        work.heavy_rows[atomicAdd(work.heavy_count, 1)] = static_cast<std::int32_t>(at.item.row);
      next.item = line.next(at.item);
    } else {
      const bool light = entries <= kLightRatings;
      step.kind = light ? StepKind::light_rows : StepKind::ratings;
      step.count = light ? count_light_rows(work, at, work.shape.groups - at.parked) : 1;
      next.item = {at.item.row + step.count, 0};
      step.end = line.offsets[next.item.row];
      next.parked += step.count;
      if (threadIdx.x < step.count) {
        shared.row[at.parked + threadIdx.x] = at.item.row + threadIdx.x;
        shared.entries[at.parked + threadIdx.x] = line.entries(at.item.row + threadIdx.x);
      }
    }
  }
  __syncwarp();
  if (threadIdx.x == 0) {
    *shared.step = step;
    *shared.progress = next;
  }
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

/// Loads `count` stored systems into registers, adds what is constant, and hands them to the sink.
template <class Sink>
__device__ __forceinline__ void finish_systems(const RowSystems& work, const SystemShared& shared,
                                               const TileRole& role, int count, const float4* slots,
                                               const Sink& sink) {
  if (threadIdx.x < count)
    shared.ridge[threadIdx.x] = ridge(work.model, shared.entries[threadIdx.x]);
  __syncthreads();
  TileRegisters tile;
  clear(tile);
  if (role.active() && role.group < count) {
    load_tile(tile, slots + role.group * work.slot_vectors() + role.tile, work.shape.tiles);
    add_constants(work, role, shared.ridge[role.group], tile);
  }
  sink(work, shared, role, count, tile, slots);
  __syncthreads();
}

/// The items that begin in positions [from, to).
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void row_systems_kernel(
    RowSystems work, Sink sink, std::int64_t from, std::int64_t to) {
  extern __shared__ float4 memory[];
  const SystemShared shared(memory, work.shape, Sink::slot_vectors(work.shape));
  const TileRole role(work.shape);
  float4* slots = work.scratch + std::int64_t{blockIdx.x} * work.shape.groups * work.slot_vectors();
  if (threadIdx.x == 0) {
    const RowShare share = row_share(work.line, from, to, blockIdx.x, gridDim.x);
    *shared.progress = {share.first, share, 0};
  }
  __syncwarp();
  while (true) {
    if (threadIdx.x < kWarp) plan_step(work, shared, from, slots);
    __syncthreads();
    const StepKind kind = shared.step->kind;
    if (kind == StepKind::done) break;
    if (kind == StepKind::light_rows) {
      sum_light_rows(work, shared, role, shared.step->row, shared.step->count, shared.step->to);
    } else if (kind == StepKind::ratings) {
      sum_ratings(work, shared, role, shared.step->begin, shared.step->end, shared.step->to);
    } else {
      finish_systems(work, shared, role, shared.step->count, slots, sink);
    }
  }
}

/// Adds the chunk sums of the heavy rows of positions [from, to) in order and finishes the rows that
/// end there; the sums of the one that goes on are carried over.
template <class Sink, int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void heavy_rows_kernel(
    RowSystems work, Sink sink, std::int64_t from, std::int64_t to) {
  extern __shared__ float4 memory[];
  const TileShape& shape = work.shape;
  const RowLine& line = work.line;
  const SystemShared shared(memory, shape, Sink::slot_vectors(shape));
  float4* slots = work.scratch + std::int64_t{blockIdx.x} * shape.groups * work.slot_vectors();
  const int rows = *work.heavy_count;
  const int each = min(shape.groups, ceil_div(rows, static_cast<int>(gridDim.x)));
  for (int first = blockIdx.x * each; first < rows; first += gridDim.x * each) {
    const int count = min(each, rows - first);
    for (int g = 0; g < count; ++g) {
      const std::int64_t row = work.heavy_rows[first + g];
      const std::int64_t start = line.position(row), end = start + line.entries(row);
      const std::int64_t first_chunk = start >= from ? 0 : ceil_div(from - start, line.chunk);
      const std::int64_t chunks = ceil_div(min(end, to) - start, line.chunk);
      const bool ends = end <= start + chunks * line.chunk;
      const float4* carried = work.carry_slot(from / work.window);
      float4* carry = work.carry_slot(from / work.window + 1);
      float4* sums = slots + g * work.slot_vectors();
      for (int e = threadIdx.x; e < work.slot_vectors(); e += blockDim.x) {
        float4 sum = first_chunk ? carried[e] : float4{0, 0, 0, 0};
#pragma unroll 4
        for (std::int64_t c = first_chunk; c < chunks; ++c) {
          const float4 x = work.partial_slot(start + c * line.chunk, c == 0)[e];
          sum = {sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w};
        }
        sums[e] = sum;
        if (!ends) carry[e] = sum;
      }
      if (threadIdx.x == 0) {
        shared.row[g] = row;
        shared.entries[g] = ends ? end - start : -1;
      }
    }
    __syncthreads();
    finish_systems(work, shared, TileRole(shape), count, slots, sink);
  }
}

}  // namespace gradmill::cuda
