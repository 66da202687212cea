#include <cuda_pipeline.h>

#include <algorithm>
#include <limits>

#include "kernels/resident_blocks.cuh"
#include "kernels/top_k/candidates.cuh"
#include "kernels/top_k/top_k.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/error.h"
#include "runtime/workspace.h"

// A block scores kWarps * Queries queries against one item tile after the other, as a matrix product
// does: query rows stay in shared memory, item rows come through it in two alternating buffers. A
// warp owns its queries' candidates (candidates.cuh), so selection needs no synchronization between
// warps. If there are few queries, several blocks share the items, and a second kernel merges.

namespace gradmill::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * kWarp;
constexpr int kTileItems = 128;
constexpr int kItemsPerLane = kTileItems / kWarp;
constexpr int kChunk = 32;  // factors that are staged at a time: one 128-byte line of a row
constexpr int kPitch =
    kChunk + 4;  // 8 rows at the same factor lie in 8 different groups of 4 banks
constexpr int kMaxFactors = 1024;

struct Plan {
  int queries_per_warp = 1;
  int splits = 1;    // blocks that share the items of the same queries
  int capacity = 0;  // candidates per query
  std::int64_t query_tiles = 0;
  std::size_t shared_bytes = 0;
};

__host__ __device__ constexpr int chunks_of(int k) { return k > 0 ? ceil_div(k, kChunk) : 1; }
__host__ __device__ constexpr int query_pitch(int k) { return chunks_of(k) * kChunk + 4; }

/// Starts the copy of factors [f, f + kChunk) of up to `rows` rows (zeros beyond k and rows) to
/// shared memory with this pitch.
__device__ void stage(float* to, int pitch, const MatrixView<const float>& from, std::int64_t first,
                      int rows, int f, bool vector) {
  const int k = static_cast<int>(from.cols);
  for (int i = threadIdx.x; i < rows * (kChunk / 4); i += kThreads) {
    const int row = i / (kChunk / 4), at = f + i % (kChunk / 4) * 4;
    float* place = to + row * pitch + i % (kChunk / 4) * 4;
    const bool inside = first + row < from.rows;
    if (inside && vector && at + 4 <= k)
      __pipeline_memcpy_async(place, from.row(first + row) + at, sizeof(float4));
    else
      *reinterpret_cast<float4*>(place) =
          inside ? load4(from.row(first + row), at, k, vector) : float4{};
  }
}

/// score[q][j] += <query q of this warp, item j * 32 + lane of the tile> over one chunk.
template <int Queries>
__device__ void add_products(float (&score)[Queries][kItemsPerLane], const float* queries,
                             int pitch, const float* items) {
#pragma unroll 1  // 128 fused multiply-adds are enough to hide the loop, and more would spill
  for (int f = 0; f < kChunk; f += 4) {
    float4 item[kItemsPerLane];
#pragma unroll
    for (int j = 0; j < kItemsPerLane; ++j)
      item[j] =
          *reinterpret_cast<const float4*>(items + (j * kWarp + threadIdx.x % kWarp) * kPitch + f);
#pragma unroll
    for (int q = 0; q < Queries; ++q) {
      const float4 query = *reinterpret_cast<const float4*>(queries + q * pitch + f);
#pragma unroll
      for (int j = 0; j < kItemsPerLane; ++j) {
        score[q][j] = fmaf(query.x, item[j].x, score[q][j]);
        score[q][j] = fmaf(query.y, item[j].y, score[q][j]);
        score[q][j] = fmaf(query.z, item[j].z, score[q][j]);
        score[q][j] = fmaf(query.w, item[j].w, score[q][j]);
      }
    }
  }
}

/// Whether an item is in the query's row of excluded items.
struct Excluded {
  const CsrView<const float>& rows;
  std::int64_t query;

  __device__ bool operator()(Key key) const {
    if (rows.rows == 0) return false;
    const std::int32_t item = item_of(key);
    std::int64_t low = rows.offsets[query], high = rows.offsets[query + 1];
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      const std::int32_t other = rows.indices[middle];
      if (other == item) return true;
      if (other < item)
        low = middle + 1;
      else
        high = middle;
    }
    return false;
  }
};

/// Offers a tile's scores to a query's candidates.
__device__ void offer_tile(Candidates& candidates, const float (&score)[kItemsPerLane],
                           std::int64_t first_item, std::int64_t end_item,
                           const Excluded& excluded) {
#pragma unroll
  for (int j = 0; j < kItemsPerLane; ++j) {
    const std::int64_t item = first_item + j * kWarp + threadIdx.x % kWarp;
    const bool matters = item < end_item && score[j] >= candidates.least_score();
    if (!__any_sync(kAllLanes, matters)) continue;
    candidates.offer(matters ? key_of(score[j], static_cast<std::int32_t>(item)) : kNoKey,
                     excluded);
  }
}

/// The scores of a tile before its factors: the items' biases.
template <int Queries>
__device__ void start_scores(float (&score)[Queries][kItemsPerLane], const TopKArgs& args,
                             std::int64_t first_item) {
#pragma unroll
  for (int j = 0; j < kItemsPerLane; ++j) {
    const std::int64_t item = first_item + j * kWarp + threadIdx.x % kWarp;
    const float bias = item < args.item_biases.size ? args.item_biases[item] : 0.0f;
#pragma unroll
    for (int q = 0; q < Queries; ++q) score[q][j] = bias;
  }
}

__device__ void write_row(const TopKArgs& args, std::int64_t query, const Key* best, int found) {
  for (int c = threadIdx.x % kWarp; c < args.count; c += kWarp) {
    args.out_items(query, c) = c < found ? item_of(best[c]) : -1;
    args.out_scores(query, c) =
        c < found ? score_of(best[c]) : -std::numeric_limits<float>::infinity();
  }
}

/// Block (t, s): queries of tile t, items of split s. With one split it writes the result, else its
/// best keys to partial [queries, splits, count].
template <int Queries>
__global__ void __launch_bounds__(kThreads, 2)
    top_k_kernel(TopKArgs args, Plan plan, bool vector, Key* partial) {
  extern __shared__ float4 shared_memory[];
  const int k = static_cast<int>(args.items.cols), chunks = chunks_of(k), pitch = query_pitch(k),
            warp = threadIdx.x / kWarp;
  Key* keys = reinterpret_cast<Key*>(shared_memory);
  float* queries = reinterpret_cast<float*>(keys + kWarps * Queries * plan.capacity);
  float* tiles = queries + kWarps * Queries * pitch;

  const std::int64_t first_query = std::int64_t{blockIdx.x} * kWarps * Queries;
  const std::int64_t tiles_of_all = ceil_div<std::int64_t>(args.items.rows, kTileItems);
  const std::int64_t first_tile = tiles_of_all * blockIdx.y / plan.splits,
                     end_tile = tiles_of_all * (blockIdx.y + 1) / plan.splits;
  const int steps = static_cast<int>(end_tile - first_tile) * chunks;
  const auto stage_items = [&](int step) {
    stage(tiles + step % 2 * kTileItems * kPitch, kPitch, args.items,
          (first_tile + step / chunks) * kTileItems, kTileItems, step % chunks * kChunk, vector);
    __pipeline_commit();
  };

  for (int c = 0; c < chunks; ++c)
    stage(queries + c * kChunk, pitch, args.queries, first_query, kWarps * Queries, c * kChunk,
          vector);
  if (steps) stage_items(0);
  Candidates candidates[Queries];
#pragma unroll
  for (int q = 0; q < Queries; ++q)
    candidates[q] =
        Candidates(keys + (warp * Queries + q) * plan.capacity, plan.capacity, args.count);

  float score[Queries][kItemsPerLane];
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      stage_items(step + 1);
      __pipeline_wait_prior(1);
    } else {
      __pipeline_wait_prior(0);
    }
    __syncthreads();
    const int chunk = step % chunks;
    const std::int64_t first_item = (first_tile + step / chunks) * kTileItems;
    if (chunk == 0) start_scores(score, args, first_item);
    add_products<Queries>(score, queries + warp * Queries * pitch + chunk * kChunk, pitch,
                          tiles + step % 2 * kTileItems * kPitch);
    __syncthreads();  // before the next step overwrites the buffer that this one read
    if (chunk + 1 < chunks) continue;
#pragma unroll
    for (int q = 0; q < Queries; ++q) {
      const std::int64_t query = first_query + warp * Queries + q;
      if (query < args.queries.rows)
        offer_tile(candidates[q], score[q], first_item, args.items.rows, {args.excluded, query});
    }
  }

#pragma unroll
  for (int q = 0; q < Queries; ++q) {
    const std::int64_t query = first_query + warp * Queries + q;
    if (query >= args.queries.rows) continue;
    candidates[q].cut(Excluded{args.excluded, query});
    if (!partial) {
      candidates[q].sort();
      write_row(args, query, candidates[q].keys(), candidates[q].size());
      continue;
    }
    Key* out = partial + (query * plan.splits + blockIdx.y) * args.count;
    for (int c = threadIdx.x % kWarp; c < args.count; c += kWarp)
      out[c] = c < candidates[q].size() ? candidates[q].keys()[c] : kNoKey;
  }
}

/// A warp per query: the best of its splits' best.
__global__ void __launch_bounds__(kWarp)
    top_k_merge_kernel(TopKArgs args, Plan plan, const Key* partial) {
  extern __shared__ float4 shared_memory[];
  const std::int64_t query = blockIdx.x;
  const int keys = plan.splits * args.count;
  const auto none_unwanted = [](Key) { return false; };
  Candidates best(reinterpret_cast<Key*>(shared_memory), plan.capacity, args.count);
  for (int first = 0; first < keys; first += kWarp) {
    const int i = first + static_cast<int>(threadIdx.x);
    best.offer(i < keys ? partial[query * keys + i] : kNoKey, none_unwanted);
  }
  best.cut(none_unwanted);
  best.sort();
  write_row(args, query, best.keys(), best.size());
}

std::size_t shared_bytes(int queries_per_warp, int capacity, int k) {
  return sizeof(Key) * kWarps * queries_per_warp * capacity +
         sizeof(float) * (kWarps * queries_per_warp * query_pitch(k) + 2 * kTileItems * kPitch);
}

/// As many queries a block as the device's shared memory and the number of queries allow: each item
/// row is read once for all of them. Then as many splits as fill the device.
Plan make_plan(const Context& ctx, const TopKArgs& args) {
  constexpr std::size_t kSharedLimit = 110 << 10;  // two blocks on a multiprocessor
  const int k = static_cast<int>(args.items.cols);
  Plan plan;
  plan.capacity = candidate_capacity(args.count);
  for (const int queries : {8, 4, 1}) {
    plan.queries_per_warp = queries;
    plan.shared_bytes = shared_bytes(queries, plan.capacity, k);
    if (plan.shared_bytes <= kSharedLimit && args.queries.rows > (queries - 1) * kWarps) break;
  }
  plan.query_tiles = ceil_div<std::int64_t>(args.queries.rows, plan.queries_per_warp * kWarps);
  // A split pays for filling its candidates: that needs enough items to be worth it.
  const std::int64_t wanted = ceil_div<std::int64_t>(ctx.multiprocessors(), plan.query_tiles),
                     least_items = std::max(2 * kTileItems, 16 * args.count),
                     bound = std::max<std::int64_t>(1, args.items.rows / least_items);
  plan.splits = static_cast<int>(std::clamp<std::int64_t>(wanted, 1, bound));
  return plan;
}

template <int Queries>
void launch(const Context& ctx, const TopKArgs& args, const Plan& plan, Key* partial) {
  const bool vector = has_vector_rows(args.queries.data, args.queries.stride) &&
                      has_vector_rows(args.items.data, args.items.stride);
  (void)resident_blocks(ctx, top_k_kernel<Queries>, kThreads, plan.shared_bytes);
  const dim3 grid(static_cast<unsigned>(plan.query_tiles), static_cast<unsigned>(plan.splits));
  top_k_kernel<Queries>
      <<<grid, kThreads, plan.shared_bytes, ctx.stream()>>>(args, plan, vector, partial);
  cuda_check(cudaGetLastError(), "launch top_k");
}

}  // namespace

void top_k(const Context& ctx, const TopKArgs& args) {
  if (args.queries.rows == 0) return;
  if (args.items.cols > kMaxFactors)
    fail(ErrorKind::usage, "top_k on CUDA: at most 1024 factors; use --device cpu");
  const Plan plan = make_plan(ctx, args);
  Workspace::Scope scratch(ctx);
  Key* partial = plan.splits > 1
                     ? scratch.take<Key>(args.queries.rows * plan.splits * args.count).data
                     : nullptr;
  switch (plan.queries_per_warp) {
    case 8:
      launch<8>(ctx, args, plan, partial);
      break;
    case 4:
      launch<4>(ctx, args, plan, partial);
      break;
    default:
      launch<1>(ctx, args, plan, partial);
  }
  if (!partial) return;
  top_k_merge_kernel<<<static_cast<unsigned>(args.queries.rows), kWarp, sizeof(Key) * plan.capacity,
                       ctx.stream()>>>(args, plan, partial);
  cuda_check(cudaGetLastError(), "launch top_k's merge");
}

}  // namespace gradmill::cuda
