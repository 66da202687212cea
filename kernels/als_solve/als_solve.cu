#include "kernels/als_solve/als_solve.h"
#include "kernels/cholesky_solve/tile_cholesky.cuh"
#include "kernels/normal_equations/launch_row_systems.cuh"

namespace gradmill::cuda {
namespace {

/// Solves the systems while they are in registers.
struct SolveRows {
  MatrixView<float> solutions;
  VectorView<float> biases;
  VectorView<std::int32_t> failures;

  static __host__ __device__ int shared_vectors(const TileShape& shape) {
    return shape.groups * solve_slot_vectors(shape);
  }

  __device__ __forceinline__ void operator()(const RowSystems& work, const SystemShared& shared,
                                             int count, TileRegisters& tile) const {
    const TileShape& shape = work.shape;
    const int size = work.size(), width = kTile * shape.tile_rows;
#pragma unroll 1
    for (int e = threadIdx.x; e < count * width; e += blockDim.x) {
      const int g = e / width, j = e % width;
      const SolveSlot slot = solve_slot(shared.area(), shape, g);
      side_value(slot.b(), shape.tile_rows, j) = j < shape.k ? shared.side(work, g, 0)[j] : 0;
      side_value(slot.border(), shape.tile_rows, j) =
          work.biased && j < shape.k ? shared.side(work, g, 1)[j] : 0;
    }
    if (threadIdx.x < count) {
      float* last = solve_slot(shared.area(), shape, threadIdx.x).last();
      if (work.biased) {
        last[0] = shared.side(work, threadIdx.x, 1)[shape.k] + shared.ridge()[threadIdx.x];
        last[1] = shared.side(work, threadIdx.x, 0)[shape.k];
      }
      last[3] = 0;
    }
    __syncthreads();
    const TileRole role = shared.role();
    const SolveSlot slot = solve_slot(shared.area(), shape, max(role.group, 0));
    tile_cholesky(tile, slot, shape, role.packed(), count, work.biased);
    for (int e = threadIdx.x; e < count * size; e += blockDim.x) {
      const int g = e / size, j = e % size;
      const std::int64_t entries = shared.entries()[g];
      if (entries < 0) continue;  // a heavy row that goes on
      const SolveSlot solved = solve_slot(shared.area(), shape, g);
      const bool zero = entries == 0 || solved.last()[3] != 0;
      if (j < shape.k)
        solutions(shared.row()[g], j) = zero ? 0 : side_value(solved.b(), shape.tile_rows, j);
      else
        biases[shared.row()[g]] = zero ? 0 : solved.last()[2];
    }
    if (threadIdx.x < count && shared.entries()[threadIdx.x] > 0 &&
        solve_slot(shared.area(), shape, threadIdx.x).last()[3] != 0)
      atomicAdd(&failures[0], 1);
  }
};

}  // namespace

void als_solve(const Context& ctx, const AlsSolveArgs& args) {
  // A solve costs k / 3 ratings' FLOPs, and slower ones.
  const RowSystems work(args, 8 + args.factors.cols / 2);
  launch_row_systems(ctx, work, SolveRows{args.solutions, args.solution_biases, args.failures},
                     args.workspace_bytes);
}

}  // namespace gradmill::cuda
