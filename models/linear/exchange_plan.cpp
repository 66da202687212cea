#include "models/linear/exchange_plan.h"

#include <algorithm>
#include <numeric>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::array<const char*, kExchanges> kNames{"none", "dense", "touched", "sparse",
                                                     "sharded"};
constexpr double kMegabyte = 1e6;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
std::size_t at(Exchange kind) { return static_cast<std::size_t>(kind); }

/// Every rank's lists, rank by rank.
std::vector<BatchLists> gather(const Context& host, Communicator& comm, const BatchLists& mine) {
  const int ranks = comm.world_size();
  const std::int64_t width = mine.batches() + 1;
  const std::vector<std::int64_t> each(at(ranks), width);
  std::vector<std::int64_t> starts(at(width * ranks)), totals;
  comm.all_gather(host, VectorView<const std::int64_t>{mine.starts.data(), width, {}}, each,
                  VectorView<std::int64_t>{starts.data(), width * ranks, {}});
  for (int r = 0; r < ranks; ++r) totals.push_back(starts[at((r + 1) * width - 1)]);
  std::vector<std::int32_t> all(at(std::accumulate(totals.begin(), totals.end(), std::int64_t{0})));
  comm.all_gather(host,
                  VectorView<const std::int32_t>{
                      mine.values.data(), static_cast<std::int64_t>(mine.values.size()), {}},
                  totals,
                  VectorView<std::int32_t>{all.data(), static_cast<std::int64_t>(all.size()), {}});
  std::vector<BatchLists> lists(at(ranks));
  auto from = all.begin();
  for (int r = 0; r < ranks; ++r) {
    lists[at(r)].starts.assign(starts.begin() + r * width, starts.begin() + (r + 1) * width);
    lists[at(r)].values.assign(from, from + totals[at(r)]);
    from += totals[at(r)];
  }
  return lists;
}

BatchLists union_of(const std::vector<BatchLists>& ranks) {
  BatchLists all;
  std::vector<std::int32_t> list;
  for (std::int64_t b = 0; b < ranks[0].batches(); ++b) {
    list.clear();
    for (const BatchLists& lists : ranks) list.insert(list.end(), lists[b].begin(), lists[b].end());
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    all.append(list);
  }
  return all;
}

/// Ranges of columns such that both the rows that are sent and the columns that are kept are shared out.
std::vector<std::int64_t> balanced_bounds(const std::vector<BatchLists>& ranks,
                                          std::int64_t columns) {
  std::vector<std::int64_t> touches(at(columns) + 1, 0);
  for (const BatchLists& lists : ranks)
    for (const std::int32_t j : lists.values) ++touches[at(j) + 1];
  std::partial_sum(touches.begin(), touches.end(), touches.begin());
  const int world = static_cast<int>(ranks.size());
  const std::int64_t each = touches.back() / std::max<std::int64_t>(columns, 1) + 1;
  std::vector<std::int64_t> bounds{0};
  for (int r = 0; r < world; ++r)
    bounds.push_back(shard_rows_by_weight(touches, r, world, each).end);
  return bounds;
}

/// The part of an ascending list within [first, last).
std::span<const std::int32_t> within(std::span<const std::int32_t> list, std::int64_t first,
                                     std::int64_t last) {
  const auto begin = std::lower_bound(list.begin(), list.end(), first);
  return {begin, std::lower_bound(begin, list.end(), last)};
}

void count_received(ExchangePlan& plan, const std::vector<BatchLists>& ranks, const BatchLists& all,
                    std::int64_t columns) {
  const double world = static_cast<double>(ranks.size()), others = (world - 1) / world;
  double touched = 0, away = 0;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    touched += static_cast<double>(ranks[r].values.size());
    for (std::int64_t b = 0; b < ranks[r].batches(); ++b)
      away += static_cast<double>(ranks[r][b].size() -
                                  within(ranks[r][b], plan.bounds[r], plan.bounds[r + 1]).size());
  }
  plan.received[at(Exchange::dense)] = 2 * others * static_cast<double>(columns * all.batches());
  plan.received[at(Exchange::touched)] = 2 * others * static_cast<double>(all.values.size());
  plan.received[at(Exchange::sparse)] = others * touched;
  // Gradients come in, parameters go out; after the epoch all of them.
  plan.received[at(Exchange::sharded)] = 2 * away / world + others * static_cast<double>(columns);
}

Exchange chosen(const std::string& wanted, const std::array<double, kExchanges>& received) {
  for (int kind = 1; kind < kExchanges; ++kind)
    if (wanted == kNames[at(kind)]) return static_cast<Exchange>(kind);
  return static_cast<Exchange>(std::min_element(received.begin() + 1, received.end()) -
                               received.begin());
}

/// Where the rows of `list`, which arrive from row `first` on, belong among the columns `updated`: both ascend.
void add_parts(std::span<const std::int32_t> updated, std::span<const std::int32_t> list,
               std::int32_t first, std::vector<std::vector<std::int32_t>>& parts) {
  std::size_t k = 0;
  for (const std::int32_t j : list) {
    while (updated[k] < j) ++k;
    parts[k].push_back(first++);
  }
}

/// What each rank's rows bring this rank, which updates columns [first, last).
void plan_parts(ExchangePlan& plan, const std::vector<BatchLists>& ranks, const BatchLists& all,
                std::int64_t first, std::int64_t last) {
  std::vector<std::vector<std::int32_t>> parts;
  std::vector<std::int32_t> offsets, places, served;
  for (std::int64_t b = 0; b < all.batches(); ++b) {
    const auto updated = within(all[b], first, last);
    plan.updated.append(updated);
    parts.assign(updated.size(), {});
    served.clear();
    for (const BatchLists& lists : ranks) {
      const auto list = within(lists[b], first, last);
      add_parts(updated, list, static_cast<std::int32_t>(served.size()), parts);
      served.insert(served.end(), list.begin(), list.end());
      plan.incoming.push_back(static_cast<std::int64_t>(list.size()));
    }
    offsets.assign(1, 0);
    places.clear();
    for (const auto& of_column : parts) {
      places.insert(places.end(), of_column.begin(), of_column.end());
      offsets.push_back(static_cast<std::int32_t>(places.size()));
    }
    plan.part_offsets.append(offsets);
    plan.parts.append(places);
    plan.served.append(served);
  }
}
}  // namespace

const char* name_of(Exchange exchange) { return kNames[at(exchange)]; }

std::int64_t BatchLists::longest() const {
  std::int64_t most = 0;
  for (std::int64_t b = 0; b < batches(); ++b) most = std::max(most, count(b));
  return most;
}

std::string ExchangePlan::describe(int outputs) const {
  const auto megabytes = [&](double values) {
    return fmt::format("{:.3g}", values * outputs * sizeof(float) / kMegabyte);
  };
  std::string others;
  for (int k = 1; k < kExchanges; ++k)
    if (k != static_cast<int>(kind) && received[at(k)] > 0)
      others += fmt::format("{}{} {}", others.empty() ? "" : ", ", kNames[at(k)],
                            megabytes(received[at(k)]));
  return fmt::format("exchange {}: {} MB a rank and epoch{}", name_of(kind),
                     megabytes(received[at(kind)]), others.empty() ? "" : " (" + others + ")");
}

ExchangePlan plan_exchange(const Context& host, Communicator& comm, const std::string& wanted,
                           BatchLists mine, std::int64_t columns) {
  ExchangePlan plan;
  const int ranks = comm.world_size(), rank = comm.rank();
  if (ranks == 1) {
    plan.gradient = std::move(mine);
    return plan;
  }
  const std::vector<BatchLists> each = gather(host, comm, mine);
  BatchLists all = union_of(each);
  plan.bounds = balanced_bounds(each, columns);
  count_received(plan, each, all, columns);
  plan.kind = chosen(wanted, plan.received);
  if (plan.kind == Exchange::dense) {
    std::vector<std::int32_t> every(at(columns));
    std::iota(every.begin(), every.end(), 0);
    for (std::int64_t b = 0; b < all.batches(); ++b) plan.gradient.append(every);
  } else if (plan.kind == Exchange::touched) {
    plan.gradient = std::move(all);
  } else if (plan.kind == Exchange::sparse) {
    plan_parts(plan, each, all, 0, columns);
    plan.gradient = std::move(mine);
    plan.served = {};
  } else {
    plan_parts(plan, each, all, plan.bounds[at(rank)], plan.bounds[at(rank) + 1]);
    for (std::int64_t b = 0; b < mine.batches(); ++b)
      for (int r = 0; r < ranks; ++r)
        plan.sent.push_back(static_cast<std::int64_t>(
            within(mine[b], plan.bounds[at(r)], plan.bounds[at(r) + 1]).size()));
    plan.gradient = std::move(mine);
  }
  return plan;
}

ExchangePlan plan_dense_exchange(const Communicator& comm, const std::string& wanted,
                                 std::int64_t batches, std::int64_t columns) {
  ExchangePlan plan;
  const int ranks = comm.world_size();
  if (ranks == 1) return plan;
  const double others = static_cast<double>(ranks - 1) / ranks;
  const double bytes = 2 * others * static_cast<double>(columns * batches);
  plan.received[at(Exchange::dense)] = plan.received[at(Exchange::sharded)] = bytes;
  plan.kind = wanted == "sharded" ? Exchange::sharded : Exchange::dense;
  for (int r = 0; r <= ranks; ++r)
    plan.bounds.push_back(r < ranks ? shard_rows(columns, r, ranks).begin : columns);
  return plan;
}

}  // namespace gradmill
