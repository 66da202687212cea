// Real files: what they hold is known.
#include <gtest/gtest.h>

#include <numeric>

#include "data/vocabulary.h"
#include "tests/data/text_files.h"
#include "tests/support/shared_data.h"

namespace gradmill {
namespace {

using testing::read_text;
using testing::shared_data;

struct Known {
  const char* file;
  std::int64_t rows, users, items;
  double mean;
  bool timestamps;
};

class TextReal : public ::testing::TestWithParam<Known> {};

TEST_P(TextReal, HasTheKnownCounts) {
  const Known& known = GetParam();
  const auto path = shared_data(known.file);
  if (!path) GTEST_SKIP() << known.file << " is not here";
  for (const int threads : {1, 2}) {
    const auto table =
        read_rating_table(*open_text_ratings({*path}, {.threads = threads}), threads);
    EXPECT_EQ(table.rows(), known.rows);
    EXPECT_EQ(table.users.size(), known.users);
    EXPECT_EQ(table.items.size(), known.items);
    EXPECT_EQ(table.timestamp.empty(), !known.timestamps);
    EXPECT_NEAR(std::accumulate(table.value.begin(), table.value.end(), 0.0) /
                    static_cast<double>(known.rows),
                known.mean, 1e-5 * known.mean);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Files, TextReal,
    ::testing::Values(
        Known{"ml-100k/u.data.gz", 100000, 943, 1682, 3.52986, true},
        Known{"ml-1m-sample/ratings.csv.gz", 207544, 3000, 1462, 3.58166461, false},
        Known{"filmtrust/ratings.txt.gz", 35497, 1508, 2071, 3.00280305, false},
        Known{"lastfm-hetrec/user_artists.dat.gz", 92834, 1892, 17632, 745.243930, false},
        Known{"spark-mllib-small/sample_movielens_ratings.txt", 1501, 30, 100, 1.7741506, true},
        Known{"spark-mllib-small/test.data", 16, 4, 4, 3.0, false}));

TEST(TextReal, Movielens1MImplicitLists) {
  const auto path = shared_data("ml-1m-implicit/m1-train.txt.gz");
  if (!path) GTEST_SKIP() << "ml-1m-implicit is not here";
  RatingReadOptions options;
  options.layout = RatingReadOptions::Layout::lists;
  const auto table = read_rating_table(*open_text_ratings({*path}, options), 2);
  EXPECT_EQ(table.rows(), 796244);
  EXPECT_EQ(table.users.size(), 6022);
  EXPECT_EQ(table.items.size(), 3043);
}

}  // namespace
}  // namespace gradmill
