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
  bool base_on_chip = false;  // the base's tiles are kept in shared memory
  TileShape shape;
  int area = 0;        // float4s of the stage: two planes, or four with weighted copies
  int plane = 0;       // float4s from the low to the high halves of staged rows
  int stage_rows = 0;  // ratings staged at a time
  int slots = 0;       // sums of long rows that wait in shared memory
  int long_row = 0;    // ratings above which all groups share a row
  RowLine line;
  std::int64_t window = 0;    // ratings whose chunks have partial slots at a time
  float4* partial = nullptr;  // [2 * window / chunk + 4, slot], the last 2 carry a row's sums over
  std::int32_t* heavy_count = nullptr;
  std::int32_t* heavy_rows = nullptr;

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
};

/// A block's shared memory. Staged rows, sums that groups exchange and the sink's data take turns in
/// the area; the sink may also use the slots behind it.
struct SystemShared {
  float4* area;
  float4* slots;  // [slots, 16 * tiles] behind the stage
  float4* base;   // [16 * tiles] if it is kept on chip
  float* sides;   // [groups, 2, side_values]
  Progress* progress;
  std::int64_t* begin;    // [groups] first rating
  std::int64_t* row;      // [groups] of the systems in the groups' registers
  std::int64_t* entries;  // [groups], -1: not to be finished
  float* ridge;           // [groups]
  float* sums;            // [2, threads] partial right-hand sides
  float* in_a;            // [stage_rows]
  float* in_b;
  std::int32_t* index;          // [stage_rows], -1: nothing staged
  std::int32_t* window_row;     // [threads], longest row first
  std::int32_t* window_length;  // [threads]
  int* votes;                   // [warps]

  static __host__ __device__ int area_vectors(const RowSystems& work, int sink_vectors) {
    const int used = work.area + work.slots * work.shape.matrix_vectors();
    return used > sink_vectors ? used : sink_vectors;
  }
  static __host__ __device__ int base_vectors(const RowSystems& work) {
    return work.base_on_chip ? work.shape.matrix_vectors() : 0;
  }
  static std::size_t bytes(const RowSystems& work, int sink_vectors) {
    const TileShape& s = work.shape;
    const int words = s.groups * (2 * work.side_values() + 1) + 3 * work.stage_rows +
                      4 * s.threads + s.threads / kWarp;
    return 16 * static_cast<std::size_t>(area_vectors(work, sink_vectors) + base_vectors(work)) +
           sizeof(Progress) + sizeof(std::int64_t) * 3 * static_cast<std::size_t>(s.groups) +
           4 * static_cast<std::size_t>(words);
  }
  __device__ SystemShared(float4* memory, const RowSystems& work, int sink_vectors)
      : area(memory), slots(memory + work.area) {
    const TileShape& s = work.shape;
    base = area + area_vectors(work, sink_vectors);
    sides = reinterpret_cast<float*>(base + base_vectors(work));
    progress = reinterpret_cast<Progress*>(sides + s.groups * 2 * work.side_values());
    begin = reinterpret_cast<std::int64_t*>(progress + 1);
    row = begin + s.groups;
    entries = row + s.groups;
    ridge = reinterpret_cast<float*>(entries + s.groups);
    sums = ridge + s.groups;
    in_a = sums + 2 * s.threads;
    in_b = in_a + work.stage_rows;
    index = reinterpret_cast<std::int32_t*>(in_b + work.stage_rows);
    window_row = index + work.stage_rows;
    window_length = window_row + s.threads;
    votes = window_length + s.threads;
  }
  __device__ float* side(const RowSystems& work, int group, int side) const {
    return sides + (2 * group + side) * work.side_values();
  }
};

}  // namespace gradmill::cuda
