#include "models/mf/sgd_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <tuple>

#include "runtime/error.h"

namespace gradmill {
namespace {
struct ZipfRatings : Ratings {
  std::vector<std::int64_t> user_counts, item_counts;
};

/// Items and users drawn from Zipf distributions with this exponent; pairs may repeat.
ZipfRatings zipf_ratings(std::int64_t count, std::int32_t users, std::int32_t items,
                         double exponent) {
  auto zipf = [&](std::int32_t n) {
    std::vector<double> weights;
    for (std::int32_t r = 0; r < n; ++r) weights.push_back(std::pow(r + 1.0, -exponent));
    return std::discrete_distribution<std::int32_t>(weights.begin(), weights.end());
  };
  auto user = zipf(users), item = zipf(items);
  std::mt19937 rng(7);
  ZipfRatings r;
  r.user_counts.resize(static_cast<std::size_t>(users));
  r.item_counts.resize(static_cast<std::size_t>(items));
  for (std::int64_t e = 0; e < count; ++e) {
    r.users.push_back(user(rng));
    r.items.push_back(item(rng));
    r.values.push_back(static_cast<float>(rng() % 9) * 0.5f + 1.0f);
    r.weights.push_back(static_cast<float>(rng() % 5) * 0.5f);
    ++r.user_counts[static_cast<std::size_t>(r.users.back())];
    ++r.item_counts[static_cast<std::size_t>(r.items.back())];
  }
  return r;
}

using Rating = std::tuple<std::int32_t, std::int32_t, float, float>;

Rating rating(const SgdBlocks& b, std::int64_t e) {
  return {b.users[e], b.items[e], b.values[e], b.weights[e]};
}

class SgdBlocksTest : public ::testing::TestWithParam<std::int64_t> {
 protected:
  const Context ctx = Context::cpu(2);
};

TEST_P(SgdBlocksTest, EveryRatingIsInTheBlockOfItsRows) {
  const ZipfRatings ratings = zipf_ratings(GetParam(), 500, 300, 1.0);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  const SgdRatings cut = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 1);
  const SgdBlocks b = cut.blocks();

  ASSERT_EQ(b.values.size, GetParam());
  ASSERT_EQ(b.offsets.size, b.user_blocks * b.item_blocks + 1);
  std::vector<Rating> want, got;
  for (std::int64_t block = 0; block + 1 < b.offsets.size; ++block) {
    const auto i = static_cast<std::int32_t>(block / b.item_blocks),
               j = static_cast<std::int32_t>(block % b.item_blocks);
    for (std::int64_t e = b.offsets[block]; e < b.offsets[block + 1]; ++e) {
      const auto [user, item, value, weight] = rating(b, e);
      EXPECT_GE(user, grid.users.first(i));
      EXPECT_LT(user, grid.users.first(i + 1));
      EXPECT_GE(item, grid.items.first(j));
      EXPECT_LT(item, grid.items.first(j + 1));
      got.push_back(rating(b, e));
    }
  }
  for (std::size_t e = 0; e < ratings.values.size(); ++e)
    want.emplace_back(grid.users.storage[static_cast<std::size_t>(ratings.users[e])],
                      grid.items.storage[static_cast<std::size_t>(ratings.items[e])],
                      ratings.values[e], ratings.weights[e]);
  std::sort(want.begin(), want.end());
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, want);
}

TEST_P(SgdBlocksTest, GroupsCutBlocksAndShareNoRow) {
  const ZipfRatings ratings = zipf_ratings(GetParam(), 700, 300, 1.0);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  const SgdRatings cut = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 1);
  const SgdBlocks b = cut.blocks();
  ASSERT_EQ(b.block_groups.size, b.offsets.size);
  ASSERT_EQ(b.block_groups[0], 0);
  ASSERT_EQ(b.block_groups[b.block_groups.size - 1], b.group_sizes.size);
  for (std::int64_t block = 0; block + 1 < b.offsets.size; ++block) {
    std::int64_t e = b.offsets[block];
    for (std::int64_t g = b.block_groups[block]; g < b.block_groups[block + 1]; ++g) {
      const std::int64_t size = b.group_sizes[g];
      EXPECT_GE(size, 1);
      EXPECT_LE(size, kGroupRatings);
      std::set<std::int32_t> users, items;
      for (const std::int64_t end = e + size; e < end; ++e) {
        users.insert(b.users[e]);
        items.insert(b.items[e]);
      }
      EXPECT_EQ(static_cast<std::int64_t>(users.size()), size);
      EXPECT_EQ(static_cast<std::int64_t>(items.size()), size);
    }
    ASSERT_EQ(e, b.offsets[block + 1]);
  }
  EXPECT_EQ(b.offsets[b.offsets.size - 1], GetParam());
}

TEST_P(SgdBlocksTest, StorageIsAPermutation) {
  const ZipfRatings ratings = zipf_ratings(GetParam(), 257, 33, 1.0);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  for (const SgdSide* side : {&grid.users, &grid.items}) {
    std::vector<std::int32_t> rows = side->storage;
    std::sort(rows.begin(), rows.end());
    for (std::size_t r = 0; r < rows.size(); ++r) EXPECT_EQ(rows[r], static_cast<std::int32_t>(r));
    EXPECT_EQ(side->first(side->blocks), static_cast<std::int64_t>(rows.size()));
  }
}

TEST_P(SgdBlocksTest, AnyRankSplitAndInputOrderGiveTheSameBlocks) {
  ZipfRatings ratings = zipf_ratings(GetParam(), 400, 300, 1.0);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  const SgdRatings whole = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 3);
  // Another order of reading, and another number of threads.
  const Context other = Context::cpu(3);
  std::reverse(ratings.users.begin(), ratings.users.end());
  std::reverse(ratings.items.begin(), ratings.items.end());
  std::reverse(ratings.values.begin(), ratings.values.end());
  std::reverse(ratings.weights.begin(), ratings.weights.end());
  for (const std::int32_t ranks : {1, 2, 3, 5}) {
    std::int64_t seen = 0;
    for (std::int32_t rank = 0; rank < ranks; ++rank) {
      const std::int32_t first = grid.users.blocks * rank / ranks,
                         last = grid.users.blocks * (rank + 1) / ranks;
      const SgdRatings part = sgd_ratings(other, grid, first, last, ratings, 3);
      const auto row = static_cast<std::int32_t>(grid.users.first(first));
      const SgdBlocks w = whole.blocks(), p = part.blocks();
      ASSERT_EQ(p.user_blocks, last - first);
      for (std::int64_t block = 0; block < p.offsets.size; ++block)
        ASSERT_EQ(p.offsets[block] + seen, w.offsets[first * w.item_blocks + block]);
      for (std::int64_t e = 0; e < p.values.size; ++e) {
        const auto [user, item, value, weight] = rating(p, e);
        ASSERT_EQ(Rating(user + row, item, value, weight), rating(w, seen + e));
      }
      seen += p.values.size;
    }
    EXPECT_EQ(seen, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, SgdBlocksTest,
                         ::testing::Values(0, 1, 31, 32, 33, 257, 10'000, 100'000));

TEST(SgdBlocks, TheSeedChangesTheOrderWithinBlocksOnly) {
  const Context ctx = Context::cpu(1);
  const ZipfRatings ratings = zipf_ratings(10'000, 100, 80, 0.5);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  const SgdRatings a = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 1);
  const SgdRatings b = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 2);
  bool differs = false;
  for (std::int64_t n = 0; n < a.blocks().offsets.size; ++n)
    ASSERT_EQ(a.blocks().offsets[n], b.blocks().offsets[n]);
  for (std::int64_t e = 0; e < a.size(); ++e)
    differs |= rating(a.blocks(), e) != rating(b.blocks(), e);
  EXPECT_TRUE(differs);
}

TEST(SgdBlocks, ByUserHoldsTheItemsOfEachUserInOrder) {
  const Context ctx = Context::cpu(2);
  const ZipfRatings ratings = zipf_ratings(2000, 90, 70, 0.5);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  const SgdRatings cut = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 1);
  const CsrRatings rows = cut.by_user(ctx, ctx, 90, 70);
  std::vector<std::vector<std::int32_t>> want(90);
  for (std::size_t e = 0; e < ratings.users.size(); ++e)
    want[static_cast<std::size_t>(grid.users.storage[static_cast<std::size_t>(ratings.users[e])])]
        .push_back(grid.items.storage[static_cast<std::size_t>(ratings.items[e])]);
  const auto got = rows.view();
  for (std::int64_t u = 0; u < 90; ++u) {
    auto& items = want[static_cast<std::size_t>(u)];
    std::sort(items.begin(), items.end());
    EXPECT_EQ(
        std::vector<std::int32_t>(got.indices + got.offsets[u], got.indices + got.offsets[u + 1]),
        items);
  }

  // The same block by block.
  std::int64_t user = 0;
  const auto counts = cut.user_counts(ctx, 90);
  for (std::int32_t block = 0; block < grid.users.blocks; ++block) {
    const std::int64_t users = grid.users.rows_of(block);
    const CsrRatings part =
        cut.by_user_of_block(ctx, ctx, block, grid.users.first(block), users, 70);
    const auto of_block = part.view();
    ASSERT_EQ(of_block.rows, users);
    for (std::int64_t u = 0; u < users; ++u, ++user) {
      const std::vector<std::int32_t> items(of_block.indices + of_block.offsets[u],
                                            of_block.indices + of_block.offsets[u + 1]);
      EXPECT_EQ(items, want[static_cast<std::size_t>(user)]);
      EXPECT_EQ(counts[static_cast<std::size_t>(user)], static_cast<std::int64_t>(items.size()));
    }
  }
  EXPECT_EQ(user, 90);
}

TEST(SgdBlocks, GroupsAreLargeUnlessARowIsHeavy) {
  const Context ctx = Context::cpu(2);
  const ZipfRatings ratings = zipf_ratings(300'000, 6040, 3706, 0.2);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  const SgdRatings cut = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 1);
  EXPECT_GE(static_cast<double>(cut.size()) / static_cast<double>(cut.blocks().group_sizes.size),
            12.0);
}

TEST(SgdBlocks, BlocksAreBalancedOnZipfData) {
  const Context ctx = Context::cpu(2);
  const ZipfRatings ratings = zipf_ratings(1'000'000, 6040, 3706, 0.7);
  const SgdGrid grid = sgd_grid(ratings.user_counts, ratings.item_counts);
  EXPECT_EQ(grid.users.blocks, 16);
  const SgdRatings cut = sgd_ratings(ctx, grid, 0, grid.users.blocks, ratings, 1);
  const SgdBlocks b = cut.blocks();
  const double mean = 1'000'000.0 / static_cast<double>(b.offsets.size - 1);
  for (std::int64_t block = 0; block + 1 < b.offsets.size; ++block)
    EXPECT_LE(static_cast<double>(b.offsets[block + 1] - b.offsets[block]), 1.3 * mean);
}

TEST(SgdBlocks, CountGrowsWithTheDataAndFitsTheRows) {
  EXPECT_EQ(sgd_block_count(0, 0, 0), 1);
  EXPECT_EQ(sgd_block_count(80'000, 943, 1682), 4);
  EXPECT_EQ(sgd_block_count(900'000, 6040, 3706), 16);
  EXPECT_EQ(sgd_block_count(20'000'000, 138'000, 27'000), 32);
  EXPECT_EQ(sgd_block_count(20'000'000, 138'000, 3), 2);
  EXPECT_EQ(sgd_block_count(std::int64_t{1} << 45, 1 << 30, 1 << 30), 256);
}

TEST(SgdBlocks, IdsOutsideTheGridAreErrors) {
  const Context ctx = Context::cpu(1);
  const std::vector<std::int64_t> counts{1, 1};
  const SgdGrid grid = sgd_grid(counts, counts);
  const std::vector<std::int32_t> good{0, 1}, bad{0, 2}, negative{0, -1};
  const std::vector<float> values{1, 2};
  EXPECT_THROW(sgd_ratings(ctx, grid, 0, 1, {good, bad, values, {}, {}}, 1), Error);
  EXPECT_THROW(sgd_ratings(ctx, grid, 0, 1, {negative, good, values, {}, {}}, 1), Error);
  EXPECT_THROW(sgd_ratings(ctx, grid, 0, 2, {good, good, values, {}, {}}, 1), Error);
}
}  // namespace
}  // namespace gradmill
