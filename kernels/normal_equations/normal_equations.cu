#include "kernels/normal_equations/launch_row_systems.cuh"
#include "kernels/normal_equations/normal_equations.h"

namespace gradmill::cuda {
namespace {
constexpr std::int64_t kPartialBytes = std::int64_t{512} << 20;

/// Writes the systems out, row after row of the triangles.
struct WriteRows {
  MatrixView<float> systems;
  MatrixView<float> rhs;
  bool vector_systems;

  static __host__ __device__ int shared_vectors(const TileShape& shape) {
    return kTileVectors * shape.pitch;
  }

  __device__ __forceinline__ void operator()(const RowSystems& work, const SystemShared& shared,
                                             int count, const TileRegisters& tile) const {
    const TileShape& shape = work.shape;
    const int k = shape.k, size = work.size();
    const TileRole role = shared.role();
    if (role.active() && role.group < count)
      store_tile(tile, shared.area() + dump_place(shape, threadIdx.x), shape.pitch);
    __syncthreads();
    for (int e = threadIdx.x; e < count * shape.matrix_vectors(); e += blockDim.x) {
      const int g = e / shape.matrix_vectors();
      const TriangleWalk at(e % shape.matrix_vectors(), shape.tile_rows);
      if (shared.entries()[g] < 0 || at.row >= k || at.col > at.row) continue;
      const float4 v =
          shared.area()[at.vector * shape.pitch + dump_place(shape, g * shape.tiles + at.tile)];
      float* row = systems.row(shared.row()[g]) + at.row * size;
      store4(row, at.col, at.col + 3 < size ? size : at.row + 1, vector_systems, v);
    }
    for (int e = threadIdx.x; e < count * size; e += blockDim.x) {
      const int g = e / size, j = e % size;
      if (shared.entries()[g] < 0) continue;  // a heavy row that goes on
      rhs(shared.row()[g], j) = shared.side(work, g, 0)[j];
      if (!work.biased) continue;
      const float extra = j == k && work.add_ridge ? shared.ridge()[g] : 0;
      systems(shared.row()[g], std::int64_t{k} * size + j) = shared.side(work, g, 1)[j] + extra;
    }
  }
};

}  // namespace

void normal_equations(const Context& ctx, const NormalEquationsArgs& args) {
  RowSystems work(args, 8);
  work.add_ridge = args.add_ridge;
  const bool vector =
      work.size() % 4 == 0 && has_vector_rows(args.systems.data, args.systems.stride);
  launch_row_systems(ctx, work, WriteRows{args.systems, args.rhs, vector}, kPartialBytes);
}

}  // namespace gradmill::cuda
