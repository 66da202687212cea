#include "dist/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace gradmill {
namespace {

constexpr std::int64_t kRows[] = {0, 1, 2, 31, 32, 33, 257, 10'000};
constexpr int kWorldSizes[] = {1, 2, 3, 4, 5, 64};

TEST(ShardRows, CoverAllRowsOnceAndDifferByOne) {
  for (const std::int64_t rows : kRows)
    for (const int ranks : kWorldSizes) {
      std::int64_t end = 0, shortest = rows, longest = 0;
      for (int r = 0; r < ranks; ++r) {
        const RowRange range = shard_rows(rows, r, ranks);
        ASSERT_EQ(range.begin, end);
        end = range.end;
        shortest = std::min(shortest, range.size());
        longest = std::max(longest, range.size());
      }
      EXPECT_EQ(end, rows);
      EXPECT_LE(longest - shortest, 1) << rows << " rows, " << ranks << " ranks";
    }
}

TEST(ShardRowsByWeight, CoverAllRowsOnceAndExceedTheMeanByOneRowAtMost) {
  std::mt19937 rng(1);
  for (const std::int64_t rows : kRows)
    for (const int ranks : kWorldSizes)
      for (const bool skewed : {false, true}) {
        std::vector<std::int64_t> offsets{5};  // need not start at 0
        std::int64_t heaviest = 0;
        for (std::int64_t row = 0; row < rows; ++row) {
          const std::int64_t weight = skewed ? 100'000 / (row + 1) : rng() % 7;
          heaviest = std::max(heaviest, weight);
          offsets.push_back(offsets.back() + weight);
        }
        const std::int64_t total = offsets.back() - offsets.front();
        std::int64_t end = 0;
        for (int r = 0; r < ranks; ++r) {
          const RowRange range = shard_rows_by_weight(offsets, r, ranks);
          ASSERT_EQ(range.begin, end);
          ASSERT_LE(range.begin, range.end);
          end = range.end;
          const std::int64_t weight = offsets[static_cast<std::size_t>(range.end)] -
                                      offsets[static_cast<std::size_t>(range.begin)];
          EXPECT_LE(weight, total / ranks + 1 + heaviest)
              << rows << " rows, rank " << r << " of " << ranks;
        }
        EXPECT_EQ(end, rows);
      }
}

TEST(ShardRowsByWeight, RowWeightCountsEmptyRowsToo) {
  const std::vector<std::int64_t> empty_rows(101, 0);
  EXPECT_EQ(shard_rows_by_weight(empty_rows, 1, 4),
            (RowRange{25, 50}));  // nothing to weigh: by count
  EXPECT_EQ(shard_rows_by_weight(empty_rows, 1, 4, 3), (RowRange{25, 50}));
  std::vector<std::int64_t> offsets{0, 100};
  for (int row = 0; row < 100; ++row) offsets.push_back(100);
  EXPECT_EQ(shard_rows_by_weight(offsets, 0, 2), (RowRange{0, 1}));
  EXPECT_EQ(shard_rows_by_weight(offsets, 0, 2, 2), (RowRange{0, 26}));  // 152 of 302
}

TEST(ShardRowsByWeight, HugeWeightsDoNotOverflow) {
  const std::int64_t huge = std::int64_t{1} << 60;
  const std::vector<std::int64_t> offsets{0, huge, 2 * huge, 3 * huge, 4 * huge};
  for (int r = 0; r < 4; ++r) EXPECT_EQ(shard_rows_by_weight(offsets, r, 4), (RowRange{r, r + 1}));
}

TEST(ShardCounts, AreTheRangesTimesTheWidth) {
  EXPECT_EQ(shard_counts(10, 3, 16), (std::vector<std::int64_t>{64, 48, 48}));
}

}  // namespace
}  // namespace gradmill
