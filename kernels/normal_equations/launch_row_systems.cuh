// Runs the kernels of row_kernels.cuh with a sink: two launches for each window of ratings, one
// window in all but the largest cases.
#pragma once

#include <algorithm>

#include "kernels/normal_equations/row_kernels.cuh"
#include "kernels/resident_blocks.cuh"
#include "runtime/context.h"
#include "runtime/cuda_check.h"
#include "runtime/error.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {

/// How shared memory is divided: two blocks shall fit on a multiprocessor.
inline void divide_shared_memory(RowSystems& work, int sink_vectors) {
  constexpr int kMostStageRows = 512;
  constexpr int kMostBytes = 100 << 10;  // with the base
  const TileShape& shape = work.shape;
  const int plane = shape.groups > 1 && shape.threads > 128 ? 5 * shape.pitch / 2 : shape.plane;
  work.area = 4 * plane;
  work.plane = (work.weighted() ? plane : 2 * plane) / 8 * 8 - 4;  // 4 mod 8
  work.slots = shape.groups > 1 ? (shape.groups + 1) / 2 : 0;
  // Adding the groups up costs as much as groups / 2 ratings' tiles.
  work.long_row = shape.groups > 1 ? 32 * shape.groups : INT32_MAX;
  work.stage_rows = std::min(work.plane / shape.tile_rows, kMostStageRows);
  work.base_on_chip = work.has_base();
  if (SharedLayout(work, sink_vectors).bytes > kMostBytes) work.base_on_chip = false;
}

template <class Sink, int kThreads>
void launch_row_systems_of(const Context& ctx, RowSystems work, const Sink& sink,
                           std::int64_t partial_bytes) {
  const TileShape& shape = work.shape;
  divide_shared_memory(work, Sink::shared_vectors(shape));
  const std::int64_t rows = work.ratings.rows, nnz = work.ratings.nnz;
  const std::int64_t slot_bytes = 16 * work.partial_vectors();
  const std::int64_t most = std::max<std::int64_t>(1, partial_bytes / (2 * slot_bytes));
  const std::int64_t windows = std::min(most, nnz / work.line.chunk + 1);
  work.window = windows * work.line.chunk;
  const std::int64_t passes = nnz / work.window + 1;

  const SharedLayout layout(work, Sink::shared_vectors(shape));
  const auto shared_bytes = static_cast<std::size_t>(layout.bytes);
  const int resident =
      resident_blocks(ctx, row_systems_kernel<Sink, kThreads>, shape.threads, shared_bytes);
  constexpr std::int64_t kLeastCost = 512;  // of a block
  const auto blocks = static_cast<unsigned>(
      std::clamp<std::int64_t>((nnz + rows * work.line.row_cost) / kLeastCost, 1, resident));
  work.shares = blocks;
  if (work.least_row) work.shares = shares_by_turns(work.line, nnz, blocks);
  const std::int64_t heavy = nnz / work.line.chunk;  // at most
  const auto heavy_blocks = static_cast<unsigned>(std::min<std::int64_t>(heavy, blocks));
  if (heavy)
    (void)resident_blocks(ctx, heavy_rows_kernel<Sink, kThreads>, shape.threads, shared_bytes);

  Workspace::Scope scratch(ctx);
  if (heavy) {
    work.partial = scratch.take<float4>((2 * windows + 4) * work.partial_vectors()).data;
    work.heavy_rows = scratch.take<std::int32_t>(heavy + 1).data;
  }
  work.heavy_count = scratch.take<std::int32_t>(2).data;
  if (work.least_row) work.shares_taken = work.heavy_count + 1;
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    const std::int64_t from = pass * work.window;
    const std::int64_t to = pass + 1 == passes ? INT64_MAX : from + work.window;
    if (heavy || work.least_row) ctx.zero(work.heavy_count, 2 * sizeof(std::int32_t));
    row_systems_kernel<Sink, kThreads>
        <<<blocks, shape.threads, shared_bytes, ctx.stream()>>>(work, layout, sink, from, to);
    cuda_check(cudaGetLastError(), "launch the normal equations of rows");
    if (!heavy) continue;
    heavy_rows_kernel<Sink, kThreads>
        <<<heavy_blocks, shape.threads, shared_bytes, ctx.stream()>>>(work, layout, sink, from, to);
    cuda_check(cudaGetLastError(), "launch the sums of heavy rows");
  }
}

/// partial_bytes bounds the memory for sums of heavy rows' chunks.
template <class Sink>
void launch_row_systems(const Context& ctx, const RowSystems& work, const Sink& sink,
                        std::int64_t partial_bytes) {
  if (work.ratings.rows == 0) return;
  if (work.shape.k > kMaxTileSize)
    fail(ErrorKind::usage, "alternating least squares on CUDA: at most 256 factors");
  with_tile_threads(work.shape, [&](auto threads) {
    launch_row_systems_of<Sink, threads>(ctx, work, sink, partial_bytes);
  });
}

}  // namespace gradmill::cuda
