// Runs the kernels of row_systems.cuh with a sink: two launches for each window of ratings, one
// window in all but the largest cases.
#pragma once

#include <algorithm>

#include "kernels/normal_equations/row_systems.cuh"
#include "kernels/resident_blocks.cuh"
#include "runtime/context.h"
#include "runtime/cuda_check.h"
#include "runtime/error.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {

template <class Sink, int kThreads>
void launch_row_systems_of(const Context& ctx, RowSystems work, const Sink& sink,
                           std::int64_t partial_bytes) {
  const std::int64_t rows = work.ratings.rows, nnz = work.ratings.nnz, k = work.shape.k;
  work.vector_rows = has_vector_rows(work.factors.data, work.factors.stride);
  // A chunk's sums are small beside its ratings' factors.
  work.line.offsets = work.ratings.offsets;
  work.line.rows = rows;
  work.line.chunk = std::clamp<std::int64_t>(16 * k, 1024, 4096);
  const std::int64_t slot_bytes = 16 * work.slot_vectors();
  const std::int64_t most = std::max<std::int64_t>(1, partial_bytes / (2 * slot_bytes));
  const std::int64_t windows = std::min(most, nnz / work.line.chunk + 1);
  work.window = windows * work.line.chunk;
  const std::int64_t passes = nnz / work.window + 1;

  const TileShape& shape = work.shape;
  const std::size_t shared_bytes = SystemShared::bytes(shape, Sink::slot_vectors(shape));
  const int resident =
      resident_blocks(ctx, row_systems_kernel<Sink, kThreads>, shape.threads, shared_bytes);
  constexpr std::int64_t kLeastCost = 512;  // of a block
  const auto blocks = static_cast<unsigned>(
      std::clamp<std::int64_t>((nnz + rows * work.line.row_cost) / kLeastCost, 1, resident));
  const std::int64_t heavy = nnz / work.line.chunk;  // at most
  const auto heavy_blocks = static_cast<unsigned>(std::min<std::int64_t>(heavy, blocks));
  if (heavy)
    (void)resident_blocks(ctx, heavy_rows_kernel<Sink, kThreads>, shape.threads, shared_bytes);

  Workspace::Scope scratch(ctx);
  work.scratch =
      scratch.take<float4>(std::int64_t{blocks} * shape.groups * work.slot_vectors()).data;
  if (heavy) {
    work.partial = scratch.take<float4>((2 * windows + 4) * work.slot_vectors()).data;
    work.heavy_rows = scratch.take<std::int32_t>(heavy + 1).data;
    work.heavy_count = scratch.take<std::int32_t>(1).data;
  }
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    const std::int64_t from = pass * work.window;
    const std::int64_t to = pass + 1 == passes ? INT64_MAX : from + work.window;
    if (heavy) ctx.zero(work.heavy_count, sizeof(std::int32_t));
    row_systems_kernel<Sink, kThreads>
        <<<blocks, shape.threads, shared_bytes, ctx.stream()>>>(work, sink, from, to);
    cuda_check(cudaGetLastError(), "launch the normal equations of rows");
    if (!heavy) continue;
    heavy_rows_kernel<Sink, kThreads>
        <<<heavy_blocks, shape.threads, shared_bytes, ctx.stream()>>>(work, sink, from, to);
    cuda_check(cudaGetLastError(), "launch the sums of heavy rows");
  }
}

/// `work` has the arguments, shape, biased and row_cost; the rest is filled in here. partial_bytes
/// bounds the memory for sums of heavy rows' chunks.
template <class Sink>
void launch_row_systems(const Context& ctx, const RowSystems& work, const Sink& sink,
                        std::int64_t partial_bytes) {
  if (work.ratings.rows == 0) return;
  if (work.shape.k > kMaxTileSize)
    fail(ErrorKind::usage, "alternating least squares on CUDA: at most 256 factors");
  if (work.shape.threads <= kTileThreads)
    launch_row_systems_of<Sink, kTileThreads>(ctx, work, sink, partial_bytes);
  else
    launch_row_systems_of<Sink, kMaxTileThreads>(ctx, work, sink, partial_bytes);
}

}  // namespace gradmill::cuda
