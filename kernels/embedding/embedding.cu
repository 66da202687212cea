#include "kernels/embedding/embedding.h"

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 65535;
constexpr std::int64_t kPiece = 32;  // sorted entries that one group of threads adds up

unsigned blocks_for(std::int64_t items) {
  return static_cast<unsigned>(
      std::clamp<std::int64_t>(ceil_div<std::int64_t>(items, kThreads), 1, kMostBlocks));
}

struct Bag {
  std::int64_t first, last;
};
__device__ Bag bag_of(const EmbeddingBags& bags, std::int64_t bag) {
  if (!bags.offsets.size) return {bag, bag + 1};
  return {bags.offsets[bag] - bags.offsets[0], bags.offsets[bag + 1] - bags.offsets[0]};
}

__device__ float factor_of(const EmbeddingBags& bags, std::int64_t entry, const Bag& bag) {
  const float weight = bags.weights.size ? bags.weights[entry] : 1.0f;
  return bags.mean ? weight / static_cast<float>(bag.last - bag.first) : weight;
}

/// A thread for each four values (or one) of each bag: neighbours read neighbouring bytes of a row.
template <bool kVector>
__global__ void __launch_bounds__(kThreads) gather_kernel(EmbeddingGatherArgs args) {
  constexpr int kWidth = kVector ? 4 : 1;
  const std::int64_t lanes = args.table.cols / kWidth, bags = args.bags.samples * args.bags.fields;
  for (std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; t < bags * lanes;
       t += std::int64_t{gridDim.x} * kThreads) {
    const std::int64_t b = t / lanes, column = t % lanes * kWidth;
    const Bag bag = bag_of(args.bags, b);
    float sum[kWidth] = {};
    for (std::int64_t e = bag.first; e < bag.last; ++e) {
      const std::int32_t id = args.bags.ids[e];
      if (id < 0) continue;
      const float factor = factor_of(args.bags, e, bag);
      const float* from = args.table.row(id) + column;
      if constexpr (kVector) {
        const float4 x = *reinterpret_cast<const float4*>(from);
        sum[0] += factor * x.x;
        sum[1] += factor * x.y;
        sum[2] += factor * x.z;
        sum[3] += factor * x.w;
      } else {
        sum[0] += factor * from[0];
      }
    }
    float* to =
        args.out.row(b / args.bags.fields) + b % args.bags.fields * args.table.cols + column;
    if constexpr (kVector)
      *reinterpret_cast<float4*>(to) = {sum[0], sum[1], sum[2], sum[3]};
    else
      to[0] = sum[0];
  }
}

/// Keys to sort by; unknown ids (-1) come last, as the greatest.
__global__ void __launch_bounds__(kThreads)
    keys_kernel(EmbeddingBags bags, std::uint32_t unknown, std::uint32_t* keys,
                std::int32_t* entries) {
  for (std::int64_t e = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; e < bags.ids.size;
       e += std::int64_t{gridDim.x} * kThreads) {
    keys[e] = bags.ids[e] < 0 ? unknown : static_cast<std::uint32_t>(bags.ids[e]);
    entries[e] = static_cast<std::int32_t>(e);
  }
}

/// The bag of an entry: the last that begins at or before it (empty bags have no entries).
__device__ std::int32_t find_bag(const EmbeddingBags& bags, std::int64_t entry) {
  if (!bags.offsets.size) return static_cast<std::int32_t>(entry);
  const std::int64_t at = entry + bags.offsets[0];
  std::int64_t low = 0, high = bags.offsets.size - 1;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (bags.offsets[middle] <= at ? low : high) = middle;
  }
  return static_cast<std::int32_t>(low);
}

/// heads[i] = 1 where a new known id begins.
__global__ void __launch_bounds__(kThreads)
    heads_kernel(EmbeddingSortArgs args, std::uint32_t unknown, const std::uint32_t* keys,
                 std::int32_t* heads) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < args.bags.ids.size;
       i += std::int64_t{gridDim.x} * kThreads) {
    heads[i] = keys[i] != unknown && (i == 0 || keys[i] != keys[i - 1]);
    args.bag_of[i] = find_bag(args.bags, args.order[i]);
  }
}

/// ranks [entries]: inclusive sums of heads.
__global__ void __launch_bounds__(kThreads)
    starts_kernel(EmbeddingSortArgs args, std::uint32_t unknown, const std::uint32_t* keys,
                  const std::int32_t* ranks) {
  const std::int64_t entries = args.bags.ids.size;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i <= entries;
       i += std::int64_t{gridDim.x} * kThreads) {
    const bool known = i < entries && keys[i] != unknown;
    const std::int32_t rank = i > 0 ? ranks[i - 1] : 0;  // ids that begin before i
    if (known && (i == 0 || ranks[i] != rank)) {
      args.ids[rank] = static_cast<std::int32_t>(keys[i]);
      args.starts[rank] = i;
    }
    const bool end = !known && (i == 0 || keys[i - 1] != unknown);
    if (end) {
      args.starts[rank] = i;
      args.count[0] = rank;
    }
  }
}

/// The id whose entries hold position `at` of the order.
__device__ std::int64_t find_id(const EmbeddingUpdateArgs& args, std::int64_t at) {
  std::int64_t low = 0, high = args.count[0];
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (args.starts[middle] <= at ? low : high) = middle;
  }
  return low;
}

__device__ std::int64_t width_of(const EmbeddingUpdateArgs& args) {
  return args.sums.data ? args.sums.cols : args.table.cols;
}

/// Sum over positions [first, last) of the order, by a group of threads of which each has every lanes-th value.
__device__ float sum_entries(const EmbeddingUpdateArgs& args, std::int64_t first, std::int64_t last,
                             std::int64_t column) {
  const std::int64_t fields = args.bags.fields;
  float sum = 0;
  for (std::int64_t at = first; at < last; ++at) {
    const std::int64_t b = args.bag_of[at];
    const float factor = factor_of(args.bags, args.order[at], bag_of(args.bags, b));
    sum += factor * args.gradient(b / fields, b % fields * width_of(args) + column);
  }
  return sum;
}

/// partial[piece, side, k]: side 0 the sum of the id that came from the piece before, side 1 that of the id
/// that goes on in the next; gradients[u, k] of ids that lie within one piece.
__global__ void __launch_bounds__(kThreads)
    pieces_kernel(EmbeddingUpdateArgs args, float* partial, float* sums) {
  const std::int64_t k = width_of(args), total = args.starts[args.count[0]];
  const std::int64_t pieces = ceil_div(total, kPiece);
  for (std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; t < pieces * k;
       t += std::int64_t{gridDim.x} * kThreads) {
    const std::int64_t piece = t / k, column = t % k;
    const std::int64_t begin = piece * kPiece, end = min(total, begin + kPiece);
    std::int64_t u = find_id(args, begin);
    for (std::int64_t at = begin; at < end; ++u) {
      const std::int64_t first = args.starts[u], last = args.starts[u + 1];
      const float sum = sum_entries(args, at, min(last, end), column);
      if (first >= begin && last <= end)
        sums[u * k + column] = sum;
      else
        partial[(2 * piece + (first < begin ? 0 : 1)) * k + column] = sum;
      at = min(last, end);
    }
  }
}

/// g of id u from the pieces that its entries lie in, in their order.
__device__ float sum_pieces(const EmbeddingUpdateArgs& args, const float* partial,
                            const float* sums, std::int64_t u, std::int64_t column) {
  const std::int64_t k = width_of(args);
  const std::int64_t first = args.starts[u] / kPiece, last = (args.starts[u + 1] - 1) / kPiece;
  if (first == last) return sums[u * k + column];
  // A piece that begins with this id holds it as the one that goes on, unless it fills the piece.
  float sum = partial[(2 * first + 1) * k + column];
  for (std::int64_t piece = first + 1; piece <= last; ++piece)
    sum += partial[2 * piece * k + column];
  return sum;
}

/// A thread for each value of an id that several pieces hold; the others are there.
__global__ void __launch_bounds__(kThreads)
    sums_kernel(EmbeddingUpdateArgs args, const float* partial) {
  const std::int64_t k = width_of(args), values = args.count[0] * k;
  for (std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; t < values;
       t += std::int64_t{gridDim.x} * kThreads) {
    const std::int64_t u = t / k;
    if (args.starts[u] / kPiece != (args.starts[u + 1] - 1) / kPiece)
      args.sums.data[t] = sum_pieces(args, partial, args.sums.data, u, t % k);
  }
}

/// A warp for each id.
__global__ void __launch_bounds__(kThreads)
    update_kernel(EmbeddingUpdateArgs args, const float* partial, const float* sums) {
  if (!applies(args.state)) return;
  const std::int64_t k = args.table.cols, distinct = args.count[0];
  const int lane = threadIdx.x % kWarp,
            slots = optimizer_slots(args.optimizer.kind, args.optimizer.momentum);
  const OptimizerStep o = with_state(args.optimizer, args.state);
  const float scale = gradient_scale(args.state);
  const std::int32_t number = step_number(args);
  for (std::int64_t u = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp; u < distinct;
       u += std::int64_t{gridDim.x} * (kThreads / kWarp)) {
    const std::int32_t id = args.ids[u];
    float rate = 0;
    int gap = 1;
    if (args.row_wise) {
      float squares = 0;
      for (std::int64_t c = lane; c < k; c += kWarp) {
        const float g = scale * sum_pieces(args, partial, sums, u, c);
        squares += g * g;
      }
      const float slot = args.slots(id, 0) + lane_sum(squares) / static_cast<float>(k);
      __syncwarp();
      if (lane == 0) args.slots(id, 0) = slot;
      rate = o.rate * inverse_root(slot, o.epsilon);
    } else if (args.seen.size) {
      gap = number - args.seen[id];
      __syncwarp();
      if (lane == 0) args.seen[id] = number;
    }
    for (std::int64_t c = lane; c < k; c += kWarp) {
      const float g = scale * sum_pieces(args, partial, sums, u, c);
      float w = args.table(id, c);
      if (args.row_wise) {
        args.table(id, c) = w - rate * g;
        continue;
      }
      float slot0 = slots > 0 ? args.slots(id, c) : 0.0f;
      float slot1 = slots > 1 ? args.slots(id, k + c) : 0.0f;
      optimizer_update(o, {o.l1, o.l2}, g, gap, o.rate * static_cast<float>(gap), w, slot0, slot1);
      args.table(id, c) = w;
      if (slots > 0) args.slots(id, c) = slot0;
      if (slots > 1) args.slots(id, k + c) = slot1;
    }
  }
}
}  // namespace

void embedding_gather(const Context& ctx, const EmbeddingGatherArgs& args) {
  const std::int64_t values = args.out.rows * args.out.cols;
  const bool vector = args.table.cols % 4 == 0 &&
                      has_vector_rows(args.table.data, args.table.stride) &&
                      has_vector_rows(args.out.data, args.out.stride);
  if (vector)
    gather_kernel<true><<<blocks_for(values / 4), kThreads, 0, ctx.stream()>>>(args);
  else
    gather_kernel<false><<<blocks_for(values), kThreads, 0, ctx.stream()>>>(args);
  cuda_check(cudaGetLastError(), "launch embedding_gather");
}

void embedding_sort(const Context& ctx, const EmbeddingSortArgs& args) {
  const std::int64_t entries = args.bags.ids.size;
  if (entries == 0) {
    ctx.zero(args.count.data, sizeof(std::int64_t));
    ctx.zero(args.starts.data, sizeof(std::int64_t));
    return;
  }
  const auto unknown = static_cast<std::uint32_t>(args.table_rows);
  int bits = 1;
  while (bits < 32 && (std::uint64_t{unknown} >> bits) != 0) ++bits;
  const int count = static_cast<int>(entries);
  Workspace::Scope scratch(ctx);
  auto* keys = scratch.take<std::uint32_t>(entries).data;
  auto* sorted = scratch.take<std::uint32_t>(entries).data;
  auto* places = scratch.take<std::int32_t>(entries).data;
  auto* ranks = scratch.take<std::int32_t>(entries).data;
  std::size_t sort_bytes = 0, scan_bytes = 0;
  cuda_check(cub::DeviceRadixSort::SortPairs(nullptr, sort_bytes, keys, sorted, places,
                                             args.order.data, count, 0, bits, ctx.stream()),
             "size the sort of embedding ids");
  cuda_check(cub::DeviceScan::InclusiveSum(nullptr, scan_bytes, places, ranks, count, ctx.stream()),
             "size the scan of embedding ids");
  const std::size_t bytes = std::max(sort_bytes, scan_bytes);
  auto* temporary = scratch.take<char>(static_cast<std::int64_t>(bytes)).data;

  keys_kernel<<<blocks_for(entries), kThreads, 0, ctx.stream()>>>(args.bags, unknown, keys, places);
  cuda_check(cudaGetLastError(), "launch embedding_sort's keys");
  std::size_t room = bytes;
  cuda_check(cub::DeviceRadixSort::SortPairs(temporary, room, keys, sorted, places, args.order.data,
                                             count, 0, bits, ctx.stream()),
             "sort embedding ids");
  heads_kernel<<<blocks_for(entries), kThreads, 0, ctx.stream()>>>(args, unknown, sorted, places);
  cuda_check(cudaGetLastError(), "launch embedding_sort's heads");
  room = bytes;
  cuda_check(cub::DeviceScan::InclusiveSum(temporary, room, places, ranks, count, ctx.stream()),
             "scan embedding ids");
  starts_kernel<<<blocks_for(entries + 1), kThreads, 0, ctx.stream()>>>(args, unknown, sorted,
                                                                        ranks);
  cuda_check(cudaGetLastError(), "launch embedding_sort's starts");
}

void embedding_update(const Context& ctx, const EmbeddingUpdateArgs& args) {
  const bool only_sums = args.sums.data != nullptr;
  const std::int64_t k = only_sums ? args.sums.cols : args.table.cols, entries = args.bags.ids.size;
  const std::int64_t pieces = ceil_div(entries, kPiece);
  Workspace::Scope scratch(ctx);
  float* partial = scratch.take<float>(2 * pieces * k).data;
  float* sums = only_sums ? args.sums.data : scratch.take<float>(entries * k).data;
  pieces_kernel<<<blocks_for(pieces * k), kThreads, 0, ctx.stream()>>>(args, partial, sums);
  cuda_check(cudaGetLastError(), "launch embedding_update's pieces");
  if (only_sums)
    sums_kernel<<<blocks_for(entries * k), kThreads, 0, ctx.stream()>>>(args, partial);
  else
    update_kernel<<<blocks_for(entries * kWarp), kThreads, 0, ctx.stream()>>>(args, partial, sums);
  cuda_check(cudaGetLastError(), "launch embedding_update");
}

}  // namespace gradmill::cuda
