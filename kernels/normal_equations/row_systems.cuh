// What the kernels that build the systems of rows share (row_kernels.cuh): the half-step as they need
// it, and a block's shared memory.
#pragma once

#include "kernels/normal_equations/normal_equations.h"
#include "kernels/normal_equations/row_line.h"
#include "kernels/normal_equations/system_tiles.cuh"

namespace gradmill::cuda {

struct RowSystems {
  CsrView<const float> ratings;
  VectorView<const float> weights;
  MatrixView<const float> factors;
  VectorView<const float> biases;
  MatrixView<const float> base;
  AlsWeights model;
  bool add_ridge = true;
  bool biased = false;
  bool vector_rows = false;
  bool vector_base = false;
  bool base_on_chip = false;  // the base's tiles are kept in shared memory
  TileShape shape;
  int area = 0;        // float4s of the stage: two planes, or four with weighted copies
  int plane = 0;       // float4s from the low to the high halves of staged rows
  int stage_rows = 0;  // ratings staged at a time
  int slots = 0;       // sums of long rows that wait in shared memory
  int long_row = 0;    // ratings above which all groups share a row
  std::int64_t least_row =
      0;  // rows with fewer ratings are left out, and blocks take shares by turns
  RowLine line;
  std::int64_t window = 0;    // ratings whose chunks have partial slots at a time
  float4* partial = nullptr;  // [2 * window / chunk + 4, slot], the last 2 carry a row's sums over
  std::int32_t* heavy_count = nullptr;
  std::int32_t* shares_taken = nullptr;  // null: block b has share b alone
  std::int64_t shares = 0;
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
        biased(args.biases.size > 0),
        vector_rows(has_vector_rows(args.factors.data, args.factors.stride)),
        vector_base(has_vector_rows(args.base.data, args.base.stride)),
        shape(args.factors.cols),
        line{args.ratings.offsets, args.ratings.rows,
             heavy_chunk(args.factors.cols, args.ratings.nnz), row_cost} {}

  /// Whether ratings count differently in A; if not, staged rows need no weighted copy.
  __host__ __device__ bool weighted() const { return model.implicit || weights.size; }
  __host__ __device__ bool has_base() const { return add_ridge && base.rows; }
  __host__ __device__ int size() const { return shape.k + (biased ? 1 : 0); }
  /// The right-hand side, and the border, of a system.
  __host__ __device__ int side_values() const { return kTile * (shape.tile_rows + 1); }
  /// A partial sum: its tiles, then both sides.
  __host__ __device__ int partial_vectors() const {
    return shape.matrix_vectors() + 2 * side_values() / 4;
  }
  __device__ float4* partial_slot(std::int64_t start, bool first_chunk) const {
    // At most one heavy row begins within a chunk's length, and at most one goes on there.
    const std::int64_t at = 2 * (start % window / line.chunk) + (first_chunk ? 1 : 0);
    return partial + at * partial_vectors();
  }
  __device__ float4* carry_slot(std::int64_t pass) const {
    return partial + (2 * (window / line.chunk) + 2 + pass % 2) * partial_vectors();
  }
};

/// Where the block is on the line.
struct Progress {
  RowItem item;
  RowShare share;
  bool done;
};

/// Byte offsets into a block's shared memory. They are arguments of the kernels, so that no thread
/// keeps pointers in registers.
struct SharedLayout {
  int slots, base, sides, progress, begin, row, entries, ridge, sums, in_a, in_b, index, window_row,
      window_length, votes, roles, bytes;

  SharedLayout() = default;
  SharedLayout(const RowSystems& work, int sink_vectors);
};

/// A block's shared memory. Staged rows, sums that groups exchange and the sink's data take turns in
/// the area; the sink may also use the slots behind the stage.
struct SystemShared {
  const SharedLayout& at;

  template <class T>
  __device__ T* part(int offset) const {
    extern __shared__ float4 memory[];
    return reinterpret_cast<T*>(reinterpret_cast<char*>(memory) + offset);
  }
  __device__ float4* area() const { return part<float4>(0); }
  __device__ float4* slots() const { return part<float4>(at.slots); }
  __device__ float4* base() const { return part<float4>(at.base); }  // if it is kept on chip
  __device__ Progress* progress() const { return part<Progress>(at.progress); }
  __device__ float* sums() const {
    return part<float>(at.sums);
  }  // [2, threads] of right-hand sides
  // [stage_rows] of the staged ratings: weights in A and b, rows of the factors (-1: nothing staged)
  __device__ float* in_a() const { return part<float>(at.in_a); }
  __device__ float* in_b() const { return part<float>(at.in_b); }
  __device__ std::int32_t* index() const { return part<std::int32_t>(at.index); }
  // [threads] rows that were taken, the longest first
  __device__ std::int32_t* window_row() const { return part<std::int32_t>(at.window_row); }
  __device__ std::int32_t* window_length() const { return part<std::int32_t>(at.window_length); }
  __device__ int* votes() const { return part<int>(at.votes); }  // [warps]
  // [groups] of the systems in registers: first rating, row, ratings (-1: not to be finished), ridge
  __device__ std::int64_t* begin() const { return part<std::int64_t>(at.begin); }
  __device__ std::int64_t* row() const { return part<std::int64_t>(at.row); }
  __device__ std::int64_t* entries() const { return part<std::int64_t>(at.entries); }
  __device__ float* ridge() const { return part<float>(at.ridge); }
  __device__ float* side(const RowSystems& work, int group, int side) const {
    return part<float>(at.sides) + (2 * group + side) * work.side_values();
  }
  __device__ TileRole role() const {
    return TileRole(part<const std::uint32_t>(at.roles)[threadIdx.x]);
  }
  __device__ void set_role(const TileRole& role) const {
    part<std::uint32_t>(at.roles)[threadIdx.x] = role.packed();
  }
};

inline SharedLayout::SharedLayout(const RowSystems& work, int sink_vectors) {
  const TileShape& s = work.shape;
  int at = 0;
  const auto take = [&](int values, int size) {
    const int here = at;
    at += values * size;
    return here;
  };
  const int used = work.area + work.slots * s.matrix_vectors();
  take(used > sink_vectors ? used : sink_vectors, 16);
  slots = 16 * work.area;
  base = take(work.base_on_chip ? s.matrix_vectors() : 0, 16);
  sides = take(s.groups * 2 * work.side_values(), 4);  // a multiple of 16 bytes
  progress = take(1, sizeof(Progress));
  begin = take(s.groups, 8);
  row = take(s.groups, 8);
  entries = take(s.groups, 8);
  ridge = take(s.groups, 4);
  sums = take(2 * s.threads, 4);
  in_a = take(work.stage_rows, 4);
  in_b = take(work.stage_rows, 4);
  index = take(work.stage_rows, 4);
  window_row = take(s.threads, 4);
  window_length = take(s.threads, 4);
  votes = take(s.threads / kWarp, 4);
  roles = take(s.threads, 4);
  bytes = at;
}

}  // namespace gradmill::cuda
