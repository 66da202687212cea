#include "kernels/embedding/embedding.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kAhead = 8;  // entries whose rows are asked for before they are needed
constexpr int kDigitBits = 11;

struct Bag {
  std::int64_t first, last;  // entries, from 0
};
Bag bag_of(const EmbeddingBags& bags, std::int64_t bag) {
  if (!bags.offsets.size) return {bag, bag + 1};
  return {bags.offsets[bag] - bags.offsets[0], bags.offsets[bag + 1] - bags.offsets[0]};
}

float factor_of(const EmbeddingBags& bags, std::int64_t entry, const Bag& bag) {
  const float weight = bags.weights.size ? bags.weights[entry] : 1.0f;
  return bags.mean ? weight / static_cast<float>(bag.last - bag.first) : weight;
}

void gather_bag(const EmbeddingGatherArgs& args, std::int64_t b, std::int64_t f) {
  const std::int64_t k = args.table.cols;
  const Bag bag = bag_of(args.bags, b * args.bags.fields + f);
  float* out = args.out.row(b) + f * k;
  const bool plain = bag.last - bag.first == 1 && !args.bags.weights.size;
  if (plain && args.bags.ids[bag.first] >= 0) {
    std::copy_n(args.table.row(args.bags.ids[bag.first]), k, out);
    return;
  }
  std::fill_n(out, k, 0.0f);
  for (std::int64_t e = bag.first; e < bag.last; ++e) {
    if (args.bags.ids[e] < 0) continue;
    const float* row = args.table.row(args.bags.ids[e]);
    const float factor = factor_of(args.bags, e, bag);
    for (std::int64_t i = 0; i < k; ++i) out[i] += factor * row[i];
  }
}

/// Sorts (id, entry) pairs by id, stable: one counting pass a digit.
void radix_sort(std::span<std::uint64_t>& pairs, std::span<std::uint64_t> other,
                std::int64_t table_rows) {
  constexpr std::uint64_t kDigits = std::uint64_t{1} << kDigitBits;
  std::array<std::int64_t, kDigits> places;
  for (int shift = 32; shift < 64 && (table_rows >> (shift - 32)) > 0; shift += kDigitBits) {
    places.fill(0);
    for (const std::uint64_t pair : pairs) ++places[pair >> shift & (kDigits - 1)];
    std::int64_t sum = 0;
    for (std::int64_t& place : places) sum += std::exchange(place, sum);
    for (const std::uint64_t pair : pairs)
      other[static_cast<std::size_t>(places[pair >> shift & (kDigits - 1)]++)] = pair;
    std::swap(pairs, other);
  }
}

void update_row(const EmbeddingUpdateArgs& args, const OptimizerStep& o, std::int32_t id,
                const float* g) {
  const std::int64_t k = args.table.cols;
  float* row = args.table.row(id);
  float* slots = args.slots.data ? args.slots.row(id) : nullptr;
  if (args.row_wise) {
    float squares = 0;
    for (std::int64_t i = 0; i < k; ++i) squares += g[i] * g[i];
    slots[0] += squares / static_cast<float>(k);
    const float rate = o.rate * inverse_root(slots[0], o.epsilon);
    for (std::int64_t i = 0; i < k; ++i) row[i] -= rate * g[i];
    return;
  }
  const std::int32_t number = step_number(args);
  const int gap = args.seen.size ? number - args.seen[id] : 1;
  if (args.seen.size) args.seen[id] = number;
  const int kinds = optimizer_slots(o.kind, o.momentum);
  float unused = 0;
  const float gap_rate = o.rate * static_cast<float>(gap);
  for (std::int64_t i = 0; i < k; ++i)
    optimizer_update(o, {o.l1, o.l2}, g[i], gap, gap_rate, row[i], kinds > 0 ? slots[i] : unused,
                     kinds > 1 ? slots[k + i] : unused);
}
}  // namespace

void cpu::embedding_gather(const Context& ctx, const EmbeddingGatherArgs& args) {
  const std::int64_t fields = args.bags.fields, entries = args.bags.ids.size;
  ctx.threads().parallel_for(args.bags.samples, 64, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t ahead = bag_of(args.bags, b * fields).first + kAhead * fields;
      for (std::int64_t e = ahead; e < std::min(entries, ahead + fields); ++e)
        if (args.bags.ids[e] >= 0) __builtin_prefetch(args.table.row(args.bags.ids[e]));
      for (std::int64_t f = 0; f < fields; ++f) gather_bag(args, b, f);
    }
  });
}

void cpu::embedding_sort(const Context& ctx, const EmbeddingSortArgs& args) {
  const EmbeddingBags& bags = args.bags;
  Workspace::Scope scratch(ctx);
  const auto entries = static_cast<std::size_t>(bags.ids.size);
  std::span<std::uint64_t> pairs(scratch.take<std::uint64_t>(bags.ids.size).data, entries);
  std::span<std::uint64_t> other(scratch.take<std::uint64_t>(bags.ids.size).data, entries);
  const VectorView<std::int32_t> bag_of_entry = scratch.take<std::int32_t>(bags.ids.size);
  std::size_t found = 0;
  for (std::int64_t b = 0; b < bags.samples * bags.fields; ++b) {
    const Bag bag = bag_of(bags, b);
    for (std::int64_t e = bag.first; e < bag.last; ++e) {
      bag_of_entry[e] = static_cast<std::int32_t>(b);
      if (bags.ids[e] >= 0)
        pairs[found++] =
            static_cast<std::uint64_t>(bags.ids[e]) << 32 | static_cast<std::uint32_t>(e);
    }
  }
  pairs = pairs.first(found);
  radix_sort(pairs, other.first(found), args.table_rows);
  std::int64_t distinct = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto id = static_cast<std::int32_t>(pairs[i] >> 32);
    const auto entry = static_cast<std::int32_t>(pairs[i] & 0xFFFFFFFFu);
    const auto at = static_cast<std::int64_t>(i);
    args.order[at] = entry;
    args.bag_of[at] = bag_of_entry[entry];
    if (distinct == 0 || args.ids[distinct - 1] != id) {
      args.starts[distinct] = at;
      args.ids[distinct++] = id;
    }
  }
  args.starts[distinct] = static_cast<std::int64_t>(pairs.size());
  args.count[0] = distinct;
}

void cpu::embedding_update(const Context& ctx, const EmbeddingUpdateArgs& args) {
  const bool sums = args.sums.data != nullptr;
  if (!sums && !applies(args.state)) return;
  const std::int64_t k = sums ? args.sums.cols : args.table.cols, fields = args.bags.fields;
  const OptimizerStep o = with_state(args.optimizer, args.state);
  const float scale = sums ? 1.0f : gradient_scale(args.state);
  Workspace::Scope scratch(ctx);
  float* gradients = scratch.take<float>(ctx.threads().size() * k).data;
  ctx.threads().parallel_for(
      args.count[0], 64, [&](std::int64_t begin, std::int64_t end, int thread) {
        for (std::int64_t u = begin; u < end; ++u) {
          float* g = sums ? args.sums.row(u) : gradients + thread * k;
          if (!sums && u + kAhead < end)
            __builtin_prefetch(args.table.row(args.ids[u + kAhead]), 1);
          std::fill_n(g, k, 0.0f);
          for (std::int64_t at = args.starts[u]; at < args.starts[u + 1]; ++at) {
            const std::int64_t b = args.bag_of[at];
            const float factor = factor_of(args.bags, args.order[at], bag_of(args.bags, b));
            const float* from = args.gradient.row(b / fields) + b % fields * k;
            for (std::int64_t i = 0; i < k; ++i) g[i] += factor * from[i];
          }
          if (sums) continue;
          if (scale != 1)
            for (std::int64_t i = 0; i < k; ++i) g[i] *= scale;
          update_row(args, o, args.ids[u], g);
        }
      });
}

namespace {
void check_bags(const char* op, const EmbeddingBags& bags) {
  const std::int64_t count = bags.samples * bags.fields;
  require(bags.offsets.size ? bags.offsets.size == count + 1 : bags.ids.size == count,
          "{}: {} bags, {} offsets, {} ids", op, count, bags.offsets.size, bags.ids.size);
  require(bags.weights.size == 0 || bags.weights.size == bags.ids.size, "{}: {} ids, {} weights",
          op, bags.ids.size, bags.weights.size);
}
}  // namespace

void embedding_gather(const Context& ctx, const EmbeddingGatherArgs& args) {
  check_bags("embedding_gather", args.bags);
  require(args.out.rows == args.bags.samples && args.out.cols == args.bags.fields * args.table.cols,
          "embedding_gather: {} samples of {} fields of {} into [{}, {}]", args.bags.samples,
          args.bags.fields, args.table.cols, args.out.rows, args.out.cols);
  if (args.out.rows == 0 || args.out.cols == 0) return;
  run_kernel(ctx, "embedding_gather", args, cpu::embedding_gather,
             [](const auto& c, const auto& a) { cuda::embedding_gather(c, a); });
}

void embedding_sort(const Context& ctx, const EmbeddingSortArgs& args) {
  check_bags("embedding_sort", args.bags);
  const std::int64_t entries = args.bags.ids.size;
  require(args.ids.size >= entries && args.order.size >= entries && args.bag_of.size >= entries &&
              args.starts.size > entries && args.count.size == 1,
          "embedding_sort: no room for {} entries", entries);
  run_kernel(ctx, "embedding_sort", args, cpu::embedding_sort,
             [](const auto& c, const auto& a) { cuda::embedding_sort(c, a); });
}

void embedding_update(const Context& ctx, const EmbeddingUpdateArgs& args) {
  check_bags("embedding_update", args.bags);
  const std::int64_t k = args.sums.data ? args.sums.cols : args.table.cols;
  require(args.gradient.rows == args.bags.samples && args.gradient.cols == args.bags.fields * k &&
              (!args.sums.data || args.sums.stride == k),
          "embedding_update: gradient [{}, {}]", args.gradient.rows, args.gradient.cols);
  if (args.bags.ids.size == 0) return;
  run_kernel(ctx, "embedding_update", args, cpu::embedding_update,
             [](const auto& c, const auto& a) { cuda::embedding_update(c, a); });
}

}  // namespace gradmill
