// Which rows belong to which rank: pure arithmetic, the same on every rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gradmill {

struct RowRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  constexpr std::int64_t size() const { return end - begin; }
  friend constexpr bool operator==(const RowRange&, const RowRange&) = default;
};

/// Rank r's rows when `rows` rows are cut into world_size contiguous ranges whose sizes differ by
/// at most one, the longer ones first. More ranks than rows: the last ranks get none.
constexpr RowRange shard_rows(std::int64_t rows, int rank, int world_size) {
  const std::int64_t base = rows / world_size, longer = rows % world_size;
  const auto begin = [&](std::int64_t r) { return r * base + (r < longer ? r : longer); };
  return {begin(rank), begin(rank + 1)};
}

/// Rank r's rows when contiguous ranges shall carry equal weights, where row i has the weight
/// offsets[i + 1] - offsets[i] (CSR offsets: its non-zeros) plus `row_weight`, its fixed cost.
/// offsets [rows + 1] ascend. Cut r is the first row at which r / world_size of the weight is
/// reached, rounded to the nearer side; so no range exceeds the mean by more than one row's weight.
constexpr RowRange shard_rows_by_weight(std::span<const std::int64_t> offsets, int rank,
                                        int world_size, std::int64_t row_weight = 0) {
  if (offsets.size() < 2) return {};
  const auto rows = static_cast<std::int64_t>(offsets.size()) - 1;
  const auto before = [&](std::int64_t row) {
    return offsets[static_cast<std::size_t>(row)] - offsets[0] + row * row_weight;
  };
  const std::int64_t total = before(rows);
  if (total == 0) return shard_rows(rows, rank, world_size);
  const auto cut = [&](std::int64_t part) {
    if (part == world_size) return rows;
    // Of the quotient and the remainder apart: part * total could exceed 64 bits.
    const std::int64_t goal = total / world_size * part + total % world_size * part / world_size;
    std::int64_t low = 0, high = rows;  // the first row with before(row) >= goal
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (before(middle) < goal)
        low = middle + 1;
      else
        high = middle;
    }
    if (low > 0 && before(low) - goal > goal - before(low - 1)) --low;
    return low;
  };
  return {cut(rank), cut(rank + 1)};
}

/// counts[r] = size of rank r's range times `width`: what all_gather and reduce_scatter take.
inline std::vector<std::int64_t> shard_counts(std::int64_t rows, int world_size,
                                              std::int64_t width = 1) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < world_size; ++r)
    counts.push_back(shard_rows(rows, r, world_size).size() * width);
  return counts;
}

static_assert(shard_rows(10, 0, 3) == RowRange{0, 4} && shard_rows(10, 2, 3) == RowRange{7, 10});
static_assert(shard_rows(1, 1, 3).size() == 0 && shard_rows(0, 0, 2) == RowRange{0, 0});

namespace shard_examples {
inline constexpr std::int64_t kHeavyFirst[] = {0, 6,  7,  8,
                                               9, 10, 11, 12};  // 7 rows, one of weight 6
static_assert(shard_rows_by_weight(kHeavyFirst, 0, 2) == RowRange{0, 1});
static_assert(shard_rows_by_weight(kHeavyFirst, 1, 2) == RowRange{1, 7});
}  // namespace shard_examples

}  // namespace gradmill
