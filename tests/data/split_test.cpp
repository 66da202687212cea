#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "runtime/error.h"
#include "tests/data/text_files.h"

namespace gradmill {
namespace {

using Rows = std::vector<testing::Row>;

Rows random_rows(std::size_t count, unsigned seed) {
  std::mt19937 rng(seed);
  Rows rows;
  for (std::size_t i = 0; i < count; ++i)
    rows.push_back({std::to_string(rng() % 50), std::to_string(rng() % 200),
                    static_cast<float>(rng() % 5), 1, static_cast<std::int64_t>(rng() % 30)});
  return rows;
}

RatingTable table_of(const Rows& rows, bool text_ids = false) {
  testing::TemporaryFolder folder;
  std::string text;
  for (const auto& r : rows)
    text += r.user + "," + r.item + "," + std::to_string(static_cast<int>(r.value)) + "," +
            std::to_string(r.timestamp) + "\n";
  RatingReadOptions options;
  options.text_ids = text_ids;
  return read_rating_table(*open_text_ratings({folder.write("a", text)}, options), 1);
}

// The held-out rows by content.
std::multiset<std::string> contents(const RatingTable& t, const std::vector<std::int64_t>& rows) {
  std::multiset<std::string> all;
  for (const auto row : rows) {
    const auto r = static_cast<std::size_t>(row);
    all.insert(t.users.text(t.user[r]) + "," + t.items.text(t.item[r]) + "," +
               std::to_string(t.value[r]) + "," + std::to_string(t.timestamp[r]));
  }
  return all;
}

void expect_partition(const RatingTable& table, const Split& split) {
  std::vector<std::int64_t> all = split.train;
  all.insert(all.end(), split.test.begin(), split.test.end());
  EXPECT_TRUE(std::is_sorted(split.train.begin(), split.train.end()));
  EXPECT_TRUE(std::is_sorted(split.test.begin(), split.test.end()));
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), static_cast<std::size_t>(table.rows()));
  for (std::size_t r = 0; r < all.size(); ++r) ASSERT_EQ(all[r], static_cast<std::int64_t>(r));
}

TEST(Split, FractionDependsOnIdsAndSeedOnly) {
  Rows rows = random_rows(10000, 1);
  const RatingTable table = table_of(rows);
  const Split split = split_by_fraction(table, 0.2, 7);
  expect_partition(table, split);
  const auto held_out = contents(table, split.test);
  EXPECT_NEAR(static_cast<double>(split.test.size()), 2000, 4 * 40);

  std::shuffle(rows.begin(), rows.end(), std::mt19937(2));
  const RatingTable shuffled = table_of(rows);
  EXPECT_EQ(contents(shuffled, split_by_fraction(shuffled, 0.2, 7).test), held_out);
  const RatingTable strings = table_of(rows, true);
  EXPECT_EQ(contents(strings, split_by_fraction(strings, 0.2, 7).test), held_out);
  EXPECT_NE(contents(shuffled, split_by_fraction(shuffled, 0.2, 8).test), held_out);

  std::map<std::pair<int, int>, bool> side;  // the same user and item are on one side
  for (const auto r : split.train)
    side[{table.user[static_cast<std::size_t>(r)], table.item[static_cast<std::size_t>(r)]}] =
        false;
  for (const auto r : split.test)
    EXPECT_FALSE(side.contains(
        {table.user[static_cast<std::size_t>(r)], table.item[static_cast<std::size_t>(r)]}));
  // A larger fraction holds out the same rows and more.
  const auto more = contents(table, split_by_fraction(table, 0.3, 7).test);
  EXPECT_TRUE(std::includes(more.begin(), more.end(), held_out.begin(), held_out.end()));
}

TEST(Split, FractionsAtTheEnds) {
  const RatingTable table = table_of(random_rows(257, 1));
  EXPECT_EQ(split_by_fraction(table, 0, 1).test.size(), 0u);
  EXPECT_EQ(split_by_fraction(table, 1, 1).test.size(), 257u);
  EXPECT_EQ(split_by_fraction({}, 0.5, 1).test.size(), 0u);
  for (const double bad : {-0.1, 1.1, std::nan("")})
    EXPECT_THROW(split_by_fraction(table, bad, 1), Error);
}

TEST(Split, LastOut) {
  const RatingTable table = table_of({{"1", "5", 1, 1, 10},
                                      {"1", "6", 1, 1, 30},
                                      {"2", "5", 1, 1, 10},
                                      {"1", "7", 1, 1, 20},
                                      {"3", "8", 1, 1, 10},
                                      {"3", "10", 1, 1, 10},
                                      {"3", "9", 1, 1, 10},
                                      {"4", "5", 1, 1, 1},
                                      {"4", "6", 1, 1, 2},
                                      {"4", "6", 2, 1, 2}});
  EXPECT_EQ(split_last_out(table).test, (std::vector<std::int64_t>{1, 5, 8, 9}));
  EXPECT_EQ(split_last_out(table, 2).test, (std::vector<std::int64_t>{1, 3, 5, 6}));
  EXPECT_EQ(split_last_out(table, 3).test, (std::vector<std::int64_t>{}));
  expect_partition(table, split_last_out(table));
  EXPECT_THROW(split_last_out(table, 0), Error);
  RatingTable without = table;
  without.timestamp.clear();
  EXPECT_THROW(split_last_out(without), Error);
  EXPECT_EQ(split_last_out({}).test.size(), 0u);
}

TEST(Split, LastOutDoesNotDependOnTheOrderOfRows) {
  Rows rows = random_rows(2000, 3);
  const RatingTable table = table_of(rows);
  std::shuffle(rows.begin(), rows.end(), std::mt19937(4));
  const RatingTable shuffled = table_of(rows);
  for (const int count : {1, 3})
    EXPECT_EQ(contents(table, split_last_out(table, count).test),
              contents(shuffled, split_last_out(shuffled, count).test));
}

}  // namespace
}  // namespace gradmill
