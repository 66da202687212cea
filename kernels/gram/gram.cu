#include <algorithm>

#include "kernels/gram/gram.h"
#include "kernels/normal_equations/system_tiles.cuh"
#include "kernels/resident_blocks.cuh"
#include "runtime/cuda_check.h"
#include "runtime/error.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr std::int64_t kLeastChunk = 256, kMostChunks = 512;
constexpr int kSumThreads = 128;

/// Sums a chunk of rows into tiles: the block's groups take turns with the rows.
template <int kThreads>
__global__ __launch_bounds__(kThreads, kThreads == kTileThreads ? 2 : 1) void gram_kernel(
    MatrixView<const float> factors, TileShape shape, std::int64_t chunk, bool vector,
    float4* partial) {
  extern __shared__ float4 area[];
  const TileRole role(shape);
  const int plane = 2 * shape.plane - 4, stage_rows = plane / shape.tile_rows;
  const int quads = 2 * shape.tile_rows;
  const std::int64_t first = blockIdx.x * chunk, last = min(first + chunk, factors.rows);
  TileRegisters tile;
  clear(tile);
  for (std::int64_t at = first; at < last; at += stage_rows) {
    const int count = static_cast<int>(min(last - at, std::int64_t{stage_rows}));
    for (int q = threadIdx.x; q < count * quads; q += blockDim.x) {
      const int s = q / quads, f = q % quads;
      area[f % 2 * plane + s * shape.tile_rows + f / 2] =
          load4(factors.row(at + s), 4 * f, shape.k, vector);
    }
    __syncthreads();
    if (role.active())
      rank_update<false>(tile, area, area, plane, shape, role, role.group, count, shape.groups);
    __syncthreads();
  }
  if (role.active()) store_tile(tile, area + threadIdx.x, shape.pitch);
  __syncthreads();
  for (int e = threadIdx.x; e < shape.matrix_vectors(); e += blockDim.x)
    partial[std::int64_t{blockIdx.x} * shape.matrix_vectors() + e] = sum_of_groups(area, shape, e);
}

/// Adds the chunks up in order; writes both triangles.
__global__ void gram_sum_kernel(const float4* partial, int chunks, TileShape shape, float scale,
                                MatrixView<float> gram) {
  const int e = blockIdx.x * blockDim.x + threadIdx.x;
  if (e >= shape.matrix_vectors()) return;
  float4 sum{0, 0, 0, 0};
  for (int c = 0; c < chunks; ++c) {
    const float4 x = partial[std::int64_t{c} * shape.matrix_vectors() + e];
    sum = {sum.x + x.x, sum.y + x.y, sum.z + x.z, sum.w + x.w};
  }
  const int vector = e / shape.tiles;
  int row, col;
  tile_position(e % shape.tiles, shape.tile_rows, row, col);
  row = row * kTile + vector / 2;
  col = col * kTile + vector % 2 * 4;
  const float values[4] = {sum.x, sum.y, sum.z, sum.w};
  for (int i = 0; i < 4; ++i)
    if (row < shape.k && col + i <= row)
      gram(row, col + i) = gram(col + i, row) = scale * values[i];
}

template <int kThreads>
void launch(const Context& ctx, const GramArgs& args, const TileShape& shape) {
  const std::int64_t rows = args.factors.rows;
  const std::int64_t chunk = std::max(kLeastChunk, ceil_div(rows, kMostChunks));
  const std::int64_t chunks = ceil_div(rows, chunk);
  const std::size_t shared_bytes = 16 * static_cast<std::size_t>(shape.shared_vectors());
  (void)resident_blocks(ctx, gram_kernel<kThreads>, shape.threads, shared_bytes);
  Workspace::Scope scratch(ctx);
  float4* partial =
      scratch.take<float4>(std::max<std::int64_t>(chunks, 1) * shape.matrix_vectors()).data;
  if (chunks) {
    const bool vector = has_vector_rows(args.factors.data, args.factors.stride);
    gram_kernel<kThreads>
        <<<static_cast<unsigned>(chunks), shape.threads, shared_bytes, ctx.stream()>>>(
            args.factors, shape, chunk, vector, partial);
    cuda_check(cudaGetLastError(), "launch gram");
  }
  const auto blocks = static_cast<unsigned>(ceil_div(shape.matrix_vectors(), kSumThreads));
  gram_sum_kernel<<<blocks, kSumThreads, 0, ctx.stream()>>>(partial, static_cast<int>(chunks),
                                                            shape, args.scale, args.gram);
  cuda_check(cudaGetLastError(), "launch gram's sums");
}
}  // namespace

void gram(const Context& ctx, const GramArgs& args) {
  if (args.factors.cols > kMaxTileSize) fail(ErrorKind::usage, "gram on CUDA: at most 256 factors");
  const TileShape shape(args.factors.cols);
  with_tile_threads(shape, [&](auto threads) { launch<threads>(ctx, args, shape); });
}

}  // namespace gradmill::cuda
