#include "data/rating_columns.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace gradmill {
namespace {

using Found = std::array<int, kRatingRoles>;

Found find(const std::vector<std::string>& names, const RatingReadOptions& options = {}) {
  return find_rating_columns("f", names, options);
}

TEST(RatingColumns, FindsUsualNames) {
  EXPECT_EQ(find({"user", "item", "rating"}), (Found{0, 1, 2, -1, -1}));
  EXPECT_EQ(find({"/g/Timestamp", "/g/movie_id", "/g/stars", "/g/User-ID", "/g/weight"}),
            (Found{3, 1, 2, 4, 0}));
  EXPECT_EQ(find({"userId", "artistID", "weight"}), (Found{0, 1, 2, -1, -1}));
  EXPECT_EQ(find({"user", "item"}), (Found{0, 1, -1, -1, -1}));
}

TEST(RatingColumns, TakesWhatIsAskedFor) {
  RatingReadOptions options;
  options.columns = {"a", "b", "c", "-", "-"};
  EXPECT_EQ(find({"rating", "c", "b", "a", "timestamp"}, options), (Found{3, 2, 1, -1, -1}));
  options.columns.value = "-";
  EXPECT_EQ(find({"rating", "c", "b", "a"}, options), (Found{3, 2, -1, -1, -1}));
  options.columns.value.clear();
  options.has_values = false;
  EXPECT_EQ(find({"rating", "c", "b", "a"}, options), (Found{3, 2, -1, -1, -1}));
}

TEST(RatingColumns, NamesWhatThereIsIfSomethingIsNot) {
  RatingReadOptions options;
  options.columns.item = "film";
  for (const auto& [names, asked] :
       {std::pair{std::vector<std::string>{"user", "rating"}, RatingReadOptions{}},
        {{"item", "rating"}, {}},
        {{"user", "item", "how good"}, {}},
        {{"user", "item", "rating"}, options}})
    try {
      find(names, asked);
      FAIL() << names[0];
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find("there are: " + names[0]), std::string::npos)
          << error.what();
    }
}

}  // namespace
}  // namespace gradmill
