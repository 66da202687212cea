#include <algorithm>

#include "kernels/cholesky_solve/cholesky_solve.h"
#include "kernels/cholesky_solve/tile_cholesky.cuh"
#include "kernels/resident_blocks.cuh"
#include "runtime/cuda_check.h"
#include "runtime/error.h"

namespace gradmill::cuda {
namespace {

/// Reads systems [first, first + count) row by row into the places of their tiles, and their
/// right-hand sides into the slots.
__device__ __forceinline__ void load_systems(const CholeskySolveArgs& args, const TileShape& shape,
                                             bool biased, bool vector, std::int64_t first,
                                             int count, float4* area, float4* slots) {
  const int k = shape.k, size = k + (biased ? 1 : 0), width = kTile * shape.tile_rows;
  for (int e = threadIdx.x; e < count * shape.matrix_vectors(); e += blockDim.x) {
    const int g = e / shape.matrix_vectors();
    const TriangleWalk at(e % shape.matrix_vectors(), shape.tile_rows);
    float4 v{0, 0, 0, 0};
    if (at.row < k && at.col <= at.row)  // values above the diagonal may be anything
      v = load4(args.systems.row(first + g) + at.row * size, at.col, at.row + 1, vector);
    if (at.row >= k) {
      const int c = at.row - at.col;
      v = {c == 0 ? 1.0f : 0, c == 1 ? 1.0f : 0, c == 2 ? 1.0f : 0, c == 3 ? 1.0f : 0};
    }
    area[at.vector * shape.pitch + dump_place(shape, g * shape.tiles + at.tile)] = v;
  }
  for (int e = threadIdx.x; e < count * width; e += blockDim.x) {
    const int g = e / width, j = e % width;
    const SolveSlot slot = solve_slot(slots, shape, g);
    side_value(slot.b(), shape.tile_rows, j) = j < k ? args.rhs(first + g, j) : 0;
    side_value(slot.border(), shape.tile_rows, j) =
        biased && j < k ? args.systems(first + g, std::int64_t{k} * size + j) : 0;
  }
  if (threadIdx.x >= count) return;
  float* last = solve_slot(slots, shape, threadIdx.x).last();
  if (biased) {
    last[0] = args.systems(first + threadIdx.x, std::int64_t{k} * size + k);
    last[1] = args.rhs(first + threadIdx.x, k);
  }
  last[3] = 0;
}

__device__ __forceinline__ void store_solutions(const CholeskySolveArgs& args,
                                                const TileShape& shape, bool biased,
                                                std::int64_t first, int count, float4* slots) {
  const int k = shape.k, size = k + (biased ? 1 : 0);
  for (int e = threadIdx.x; e < count * size; e += blockDim.x) {
    const int g = e / size, j = e % size;
    const SolveSlot slot = solve_slot(slots, shape, g);
    args.solutions(first + g, j) = slot.last()[3] != 0 ? 0
                                   : j < k             ? side_value(slot.b(), shape.tile_rows, j)
                                                       : slot.last()[2];
  }
  if (threadIdx.x < count && solve_slot(slots, shape, threadIdx.x).last()[3] != 0)
    atomicAdd(&args.failures[0], 1);
}

/// As many systems at a time as the block has groups: the lower triangles are read row by row into
/// shared memory, spread over registers and solved there.
template <int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void cholesky_solve_kernel(
    CholeskySolveArgs args, TileShape shape, bool biased, bool vector) {
  extern __shared__ float4 area[];  // the tiles, then the groups' slots
  float4* slots = area + kTileVectors * shape.pitch;
  std::uint32_t packed_role = TileRole(shape).packed();
  const int batches = static_cast<int>(ceil_div<std::int64_t>(args.rhs.rows, shape.groups));
  for (int batch = blockIdx.x; batch < batches; batch += gridDim.x) {
    const int count = static_cast<int>(
        min(args.rhs.rows - std::int64_t{batch} * shape.groups, std::int64_t{shape.groups}));
    load_systems(args, shape, biased, vector, std::int64_t{batch} * shape.groups, count, area,
                 slots);
    __syncthreads();
    TileRegisters tile;
    clear(tile);
    const TileRole role = unpack(packed_role);
    if (role.active() && role.group < count)
      load_tile(tile, area + dump_place(shape, threadIdx.x), shape.pitch);
    tile_cholesky(tile, solve_slot(slots, shape, max(role.group, 0)), shape, packed_role, count,
                  biased);
    store_solutions(args, shape, biased, std::int64_t{batch} * shape.groups, count, slots);
    __syncthreads();
  }
}

template <int kThreads>
void launch(const Context& ctx, const CholeskySolveArgs& args, const TileShape& shape,
            bool biased) {
  const std::size_t shared_bytes =
      16 * static_cast<std::size_t>(kTileVectors * shape.pitch +
                                    shape.groups * solve_slot_vectors(shape));
  const int resident =
      resident_blocks(ctx, cholesky_solve_kernel<kThreads>, shape.threads, shared_bytes);
  const auto blocks = static_cast<unsigned>(
      std::min<std::int64_t>(resident, ceil_div<std::int64_t>(args.rhs.rows, shape.groups)));
  const bool vector =
      args.rhs.cols % 4 == 0 && has_vector_rows(args.systems.data, args.systems.stride);
  cholesky_solve_kernel<kThreads>
      <<<blocks, shape.threads, shared_bytes, ctx.stream()>>>(args, shape, biased, vector);
  cuda_check(cudaGetLastError(), "launch cholesky_solve");
}
}  // namespace

void cholesky_solve(const Context& ctx, const CholeskySolveArgs& args) {
  if (args.rhs.rows == 0) return;
  // One more than a multiple of 8, as with a bias: the last row as a border saves a row of tiles.
  const std::int64_t size = args.rhs.cols;
  const bool biased = size > 1 && size % kTile == 1;
  const TileShape shape(biased ? size - 1 : size);
  if (shape.k > kMaxTileSize)
    fail(ErrorKind::usage, "cholesky_solve on CUDA: at most 257 unknowns");
  with_tile_threads(shape, [&](auto threads) { launch<threads>(ctx, args, shape, biased); });
}

}  // namespace gradmill::cuda
