#include "kernels/normal_equations/row_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

namespace gradmill {
namespace {

std::vector<std::int64_t> offsets_of(const std::vector<std::int64_t>& lengths, std::int64_t first) {
  std::vector<std::int64_t> offsets{first};
  for (const std::int64_t n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}

/// Every item of the line, in order, as (row, chunk).
std::vector<std::pair<std::int64_t, std::int64_t>> all_items(const RowLine& line) {
  std::vector<std::pair<std::int64_t, std::int64_t>> items;
  for (std::int64_t row = 0; row < line.rows; ++row)
    for (std::int64_t c = 0; c == 0 || c * line.chunk < line.entries(row); ++c)
      items.emplace_back(row, c);
  return items;
}

TEST(RowLine, SharesHoldEveryItemOnceInOrder) {
  const std::vector<std::vector<std::int64_t>> cases{{},
                                                     {0},
                                                     {5},
                                                     {0, 0, 0},
                                                     {100},
                                                     {3, 0, 41, 8, 0, 0, 10, 1, 25, 10, 11, 0},
                                                     {0, 0, 90, 0, 0, 90, 0},
                                                     std::vector<std::int64_t>(50, 10)};
  for (const auto& lengths : cases)
    for (const std::int64_t origin : {0, 17})
      for (const std::int64_t row_cost : {1, 8})
        for (const std::int64_t window : {10, 20, 1000})
          for (const std::int64_t blocks : {1, 2, 3, 7, 100}) {
            const auto offsets = offsets_of(lengths, origin);
            const RowLine line{offsets.data(), static_cast<std::int64_t>(lengths.size()), 10,
                               row_cost};
            std::vector<std::pair<std::int64_t, std::int64_t>> seen;
            // More windows than needed: the kernels' callers know an upper bound of the ratings only.
            const std::int64_t passes = (offsets.back() - origin) / window + 1 + blocks % 2;
            for (std::int64_t pass = 0; pass < passes; ++pass)
              for (std::int64_t b = 0; b < blocks; ++b) {
                const std::int64_t to = pass + 1 == passes ? INT64_MAX : (pass + 1) * window;
                const RowShare share = row_share(line, pass * window, to, b, blocks);
                for (RowItem i = share.first; share.holds(line, i); i = line.next(i))
                  seen.emplace_back(i.row, i.chunk);
              }
            ASSERT_EQ(seen, all_items(line))
                << lengths.size() << " rows, window " << window << ", " << blocks << " blocks";
          }
}

/// 20 million ratings of 27,000 items, Zipf with exponent 1: the first has a tenth of them.
std::vector<std::int64_t> zipf_lengths() {
  std::vector<std::int64_t> lengths;
  for (int i = 1; i <= 27'000; ++i) lengths.push_back(static_cast<std::int64_t>(1.85e6 / i));
  std::rotate(lengths.begin(), lengths.begin() + 9'000, lengths.end());
  return lengths;
}

TEST(RowLine, SharesOfZipfDataAreEqual) {
  const auto lengths = zipf_lengths();
  const auto offsets = offsets_of(lengths, 0);
  // Blocks that 132 multiprocessors hold of these numbers of factors.
  const std::pair<std::int64_t, std::int64_t> sizes[] = {
      {32, 528}, {64, 264}, {128, 396}, {256, 132}};
  for (const auto& [k, blocks] : sizes) {
    const std::int64_t chunk = heavy_chunk(k, offsets.back());
    const RowLine line{offsets.data(), static_cast<std::int64_t>(lengths.size()), chunk, 8 + k / 2};
    std::int64_t largest = 0, total = 0;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const RowShare share = row_share(line, 0, INT64_MAX, b, blocks);
      std::int64_t work = 0;
      for (RowItem i = share.first; share.holds(line, i); i = line.next(i)) {
        const std::int64_t entries =
            std::min(line.entries(i.row) - i.chunk * line.chunk, line.chunk);
        work += entries + (i.chunk == 0 ? line.row_cost : 0);
      }
      largest = std::max(largest, work);
      total += work;
    }
    EXPECT_LE(static_cast<double>(largest * blocks) / static_cast<double>(total), 1.2) << k;
  }
}

/// Largest block's work / the mean where blocks take shares by turns and do the rows of one kind only.
double largest_by_turns(const RowLine& line, std::int64_t blocks, bool of_long_rows,
                        std::int64_t longest) {
  const std::int64_t shares =
      shares_by_turns(line, line.offsets[line.rows] - line.offsets[0], blocks);
  std::vector<std::int64_t> work(static_cast<std::size_t>(blocks));
  std::int64_t total = 0;
  for (std::int64_t s = 0; s < shares; ++s) {
    const RowShare share = row_share(line, 0, INT64_MAX, s, shares);
    auto& free = *std::min_element(work.begin(), work.end());
    for (RowItem i = share.first; share.holds(line, i); i = line.next(i)) {
      if ((line.entries(i.row) > longest) != of_long_rows) continue;
      const std::int64_t cost =
          std::min(line.entries(i.row) - i.chunk * line.chunk, line.chunk) + line.row_cost;
      free += cost;
      total += cost;
    }
  }
  return static_cast<double>(*std::max_element(work.begin(), work.end()) * blocks) /
         static_cast<double>(total);
}

TEST(RowLine, SharesByTurnsOfOneKindOfRowsAreEqual) {
  const auto lengths = zipf_lengths();
  const auto offsets = offsets_of(lengths, 0);
  const auto rows = static_cast<std::int64_t>(lengths.size());
  // Number of factors, blocks, longest row that is not formed: as in ials_cg.cu.
  const std::vector<std::array<std::int64_t, 3>> sizes{
      {32, 264, 660}, {64, 264, 340}, {128, 132, 350}, {256, 132, heavy_chunk(256, 20'000'000)}};
  for (const auto& [k, blocks, longest] : sizes) {
    const RowLine kept{offsets.data(), rows, std::int64_t{1} << 40, 16 + k / 2};
    EXPECT_LE(largest_by_turns(kept, blocks, false, longest), 1.3) << k;
    const RowLine formed{offsets.data(), rows, heavy_chunk(k, offsets.back()), 1};
    EXPECT_LE(largest_by_turns(formed, blocks, true, longest), 1.3) << k;
  }
}

TEST(RowLine, ChunksGrowWithTheRatings) {
  EXPECT_EQ(heavy_chunk(8, 0), 1024);
  EXPECT_EQ(heavy_chunk(64, 500'000), 1024);
  EXPECT_EQ(heavy_chunk(128, 500'000), 2048);
  EXPECT_EQ(heavy_chunk(256, 500'000), 4096);
  EXPECT_EQ(heavy_chunk(32, 20'480'000), 2048);
  EXPECT_EQ(heavy_chunk(64, 20'480'000), 8192);
  EXPECT_EQ(heavy_chunk(128, 20'480'000), 10'000);
  EXPECT_EQ(heavy_chunk(256, std::int64_t{1} << 40), 16384);
}

}  // namespace
}  // namespace gradmill
