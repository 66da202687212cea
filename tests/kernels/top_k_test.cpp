#include "kernels/top_k/top_k.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/support/mf_reference.h"
#include "tests/support/random_ratings.h"

namespace gradmill::testing {
namespace {
struct Shape {
  std::int64_t queries, items, k;
  std::int32_t count;
  bool biased, excluded;
};
constexpr Shape kShapes[] = {
    {0, 10, 8, 3, false, false},       {1, 0, 8, 3, false, false},
    {1, 1, 1, 1, false, false},        {3, 5, 7, 8, true, true},
    {31, 32, 31, 10, true, false},     {32, 33, 33, 33, false, true},
    {7, 257, 64, 100, true, true},     {5, 10'000, 16, 20, false, true},
    {13, 1500, 100, 1024, true, true}, {500, 700, 12, 5, false, true},
};

struct Problem {
  std::vector<float> queries, items, biases, scores;
  RandomRatings seen;
  std::vector<std::int32_t> best;
  TopKArgs args;

  explicit Problem(const Shape& s)
      : queries(random_values(s.queries * (s.k + 3), 1)),
        items(random_values(s.items * (s.k + 1), 2)),
        biases(random_values(s.biased ? s.items : 0, 3)),
        scores(static_cast<std::size_t>(s.queries * s.count)),
        seen(random_ratings(s.queries, s.items, {0, 3, s.items, s.items / 2}, 4)),
        best(scores.size()) {
    args.queries = {queries.data(), s.queries, s.k, s.k + 3, {}};
    args.items = {items.data(), s.items, s.k, s.k + 1, {}};
    args.item_biases = {biases.data(), static_cast<std::int64_t>(biases.size()), {}};
    if (s.excluded) args.excluded = seen.view();
    args.count = s.count;
    args.out_items = {best.data(), s.queries, s.count, s.count, {}};
    args.out_scores = {scores.data(), s.queries, s.count, s.count, {}};
  }
};

class TopK : public ::testing::TestWithParam<Shape> {};

TEST_P(TopK, MatchesTheFullRanking) {
  Problem p(GetParam());
  top_k(Context::cpu(2), p.args);
  for (std::int64_t q = 0; q < p.args.queries.rows; ++q) {
    const auto want = reference_ranking(p.args, q);
    std::set<std::int32_t> allowed, got;
    for (const auto& [score, item] : want) allowed.insert(item);
    for (std::int32_t c = 0; c < p.args.count; ++c) {
      const std::int32_t item = p.args.out_items(q, c);
      const float score = p.args.out_scores(q, c);
      if (static_cast<std::size_t>(c) >= want.size()) {
        EXPECT_EQ(item, -1);
        EXPECT_EQ(score, -std::numeric_limits<float>::infinity());
        continue;
      }
      // Rounding may swap neighbours, so scores are compared, not items.
      EXPECT_NEAR(score, want[static_cast<std::size_t>(c)].first, 1e-4) << q << ' ' << c;
      EXPECT_TRUE(allowed.count(item)) << item;
      EXPECT_TRUE(got.insert(item).second) << item << " twice";
    }
  }
}

TEST_P(TopK, BitsDoNotDependOnThreads) {
  Problem one(GetParam()), many(GetParam());
  top_k(Context::cpu(1), one.args);
  top_k(Context::cpu(3), many.args);
  EXPECT_EQ(one.best, many.best);
  EXPECT_EQ(one.scores, many.scores);
}

INSTANTIATE_TEST_SUITE_P(Shapes, TopK, ::testing::ValuesIn(kShapes));

TEST(TopKProperties, EqualScoresGiveTheSmallerItemFirst) {
  Problem p({2, 1300, 1, 7, false, true});
  std::fill(p.items.begin(), p.items.end(), 1.0f);
  std::fill(p.queries.begin(), p.queries.end(), 2.0f);
  top_k(Context::cpu(1), p.args);
  for (std::int64_t q = 0; q < 2; ++q) {
    const auto want = reference_ranking(p.args, q);
    for (std::int32_t c = 0; c < 7; ++c)
      EXPECT_EQ(p.args.out_items(q, c), want[static_cast<std::size_t>(c)].second);
  }
}

TEST(TopKProperties, ShapesThatDisagreeAreContractErrors) {
  Problem p({3, 5, 7, 2, true, true});
  const auto fails = [&](auto change) {
    TopKArgs args = p.args;
    change(args);
    EXPECT_THROW(top_k(Context::cpu(1), args), Error);
  };
  fails([](TopKArgs& a) { a.items.cols = 6; });
  fails([](TopKArgs& a) { a.count = 0; });
  fails([](TopKArgs& a) { a.count = 1025; });
  fails([](TopKArgs& a) { a.item_biases.size = 4; });
  fails([](TopKArgs& a) { a.out_items.cols = 3; });
  fails([](TopKArgs& a) { a.excluded.rows = 2; });
}
}  // namespace
}  // namespace gradmill::testing
