#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/top_k/top_k.h"
#include "runtime/buffer.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::random_ratings;
using testing::random_values;
using testing::RandomRatings;

struct Shape {
  std::int64_t queries, items, k, stride;
  std::int32_t count;
};

struct Problem {
  Shape shape;
  std::vector<float> queries, items, biases;
  RandomRatings excluded;
};

Problem random_problem(const Shape& s, unsigned seed) {
  Problem p{s, random_values(s.queries * s.stride, seed),
            random_values(s.items * s.stride, seed + 1), random_values(s.items, seed + 2),
            random_ratings(s.queries, s.items, {0, 1, 5, 40, s.items / 2}, seed + 3)};
  for (std::int64_t r = 0; r < s.queries; ++r)  // padding holds NaN: it must not reach a score
    for (std::int64_t f = s.k; f < s.stride; ++f)
      p.queries[static_cast<std::size_t>(r * s.stride + f)] = NAN;
  return p;
}

struct Options {
  bool biases = true, excluded = true;
};
struct Result {
  std::vector<std::int32_t> items;
  std::vector<float> scores;
};

Result run(const Context& ctx, const Problem& p, const Options& o) {
  const Shape& s = p.shape;
  const auto queries = Buffer<float>::from_host(ctx, p.queries),
             items = Buffer<float>::from_host(ctx, p.items),
             biases = Buffer<float>::from_host(ctx, p.biases);
  const auto offsets = Buffer<std::int64_t>::from_host(ctx, p.excluded.offsets);
  const auto indices = Buffer<std::int32_t>::from_host(ctx, p.excluded.indices);
  Buffer<std::int32_t> out_items(ctx, s.queries * s.count);
  Buffer<float> out_scores(ctx, s.queries * s.count);
  TopKArgs args{.queries = queries.matrix(s.queries, s.k, s.stride),
                .items = items.matrix(s.items, s.k, s.stride),
                .item_biases = {},
                .excluded = {},
                .count = s.count,
                .out_items = out_items.matrix(s.queries, s.count, s.count),
                .out_scores = out_scores.matrix(s.queries, s.count, s.count)};
  if (o.biases) args.item_biases = biases.view();
  if (o.excluded) {
    args.excluded = p.excluded.view();
    args.excluded.offsets = offsets.view().data;
    args.excluded.indices = indices.view().data;
    args.excluded.values = nullptr;
    args.excluded.device = ctx.device();
  }
  top_k(ctx, args);
  return {out_items.to_host(), out_scores.to_host()};
}

/// Scores of one query in double precision; -inf where excluded.
std::vector<double> reference_scores(const Problem& p, const Options& o, std::int64_t q) {
  const Shape& s = p.shape;
  std::vector<double> scores(static_cast<std::size_t>(s.items));
  for (std::int64_t i = 0; i < s.items; ++i) {
    double score = o.biases ? p.biases[static_cast<std::size_t>(i)] : 0.0;
    for (std::int64_t f = 0; f < s.k; ++f)
      score += static_cast<double>(p.queries[static_cast<std::size_t>(q * s.stride + f)]) *
               p.items[static_cast<std::size_t>(i * s.stride + f)];
    scores[static_cast<std::size_t>(i)] = score;
  }
  if (o.excluded)
    for (std::int64_t e = p.excluded.offsets[static_cast<std::size_t>(q)];
         e < p.excluded.offsets[static_cast<std::size_t>(q) + 1]; ++e)
      scores[static_cast<std::size_t>(p.excluded.indices[static_cast<std::size_t>(e)])] =
          -std::numeric_limits<double>::infinity();
  return scores;
}

/// Each place holds a score within rounding of the place's true score, in order, of a distinct item
/// that has this score.
void expect_right(const Problem& p, const Options& o, const Result& got) {
  const Shape& s = p.shape;
  const double tolerance = 2e-6 * (10 + static_cast<double>(s.k));
  for (std::int64_t q = 0; q < s.queries; ++q) {
    const std::vector<double> scores = reference_scores(p, o, q);
    std::vector<double> best = scores;
    std::sort(best.begin(), best.end(), std::greater<>());
    std::vector<std::int32_t> seen;
    for (std::int64_t c = 0; c < s.count; ++c) {
      const std::int32_t item = got.items[static_cast<std::size_t>(q * s.count + c)];
      const float score = got.scores[static_cast<std::size_t>(q * s.count + c)];
      if (c >= s.items || std::isinf(best[static_cast<std::size_t>(c)])) {
        ASSERT_EQ(item, -1) << "query " << q << " place " << c;
        ASSERT_EQ(score, -std::numeric_limits<float>::infinity());
        continue;
      }
      ASSERT_TRUE(item >= 0 && item < s.items)
          << "query " << q << " place " << c << ": item " << item;
      ASSERT_NEAR(score, best[static_cast<std::size_t>(c)], tolerance)
          << "query " << q << " place " << c;
      ASSERT_NEAR(score, scores[static_cast<std::size_t>(item)], tolerance)
          << "query " << q << " place " << c;
      if (c) {
        ASSERT_GE(got.scores[static_cast<std::size_t>(q * s.count + c - 1)], score);
      }
      seen.push_back(item);
    }
    std::sort(seen.begin(), seen.end());
    ASSERT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end())
        << "query " << q << " got an item twice";
  }
}

constexpr Shape kShapes[] = {
    {0, 10, 8, 32, 5},        {1, 0, 8, 8, 3},         {1, 1, 1, 1, 1},
    {2, 31, 3, 32, 31},       {3, 32, 16, 16, 40},     {33, 33, 31, 31, 10},
    {1, 10'000, 20, 32, 10},  {65, 257, 33, 64, 10},   {100, 2000, 64, 64, 100},
    {9, 3000, 128, 128, 257}, {3, 5000, 40, 64, 1024}, {40, 700, 256, 256, 20},
    {31, 10'000, 8, 8, 64},   {7, 300, 100, 101, 7}};

TEST(TopK, CudaMatchesDoublePrecision) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(std::to_string(shape.queries) + " queries, " + std::to_string(shape.items) +
                 " items, k = " + std::to_string(shape.k) + ", count " +
                 std::to_string(shape.count));
    const Problem problem = random_problem(shape, 1);
    for (const Options& options : {Options{}, Options{.biases = false, .excluded = false}})
      expect_right(problem, options, run(*gpus[0], problem, options));
  }
}

TEST(TopK, CudaEqualScoresGiveTheSmallerItemFirst) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const Shape& shape :
       {Shape{2, 5000, 4, 4, 10}, Shape{2, 5000, 4, 4, 1024}, Shape{300, 1000, 4, 4, 50}}) {
    Problem problem = random_problem(shape, 1);
    // Small integers: sums are exact, and most are equal.
    for (auto* values : {&problem.queries, &problem.items, &problem.biases})
      for (float& v : *values) v = static_cast<float>(static_cast<int>(v * 2) % 2);
    const Result got = run(*gpus[0], problem, {});
    for (std::int64_t q = 0; q < shape.queries; ++q) {
      const std::vector<double> scores = reference_scores(problem, {}, q);
      std::vector<std::int32_t> order(scores.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
        return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
      });
      for (std::int64_t c = 0; c < shape.count; ++c) {
        const std::int32_t want = order[static_cast<std::size_t>(c)];
        ASSERT_EQ(got.items[static_cast<std::size_t>(q * shape.count + c)],
                  std::isinf(scores[static_cast<std::size_t>(want)]) ? -1 : want)
            << "query " << q << " place " << c;
      }
    }
  }
}

TEST(TopK, CudaRowDependsOnItsQueryAlone) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Problem many = random_problem({200, 3000, 33, 64, 20}, 4);
  Problem one = many;  // alone, the items are split over many blocks
  one.shape.queries = 1;
  one.queries.resize(64);
  const Result all = run(*gpus[0], many, {.excluded = false}),
               first = run(*gpus[0], one, {.excluded = false});
  EXPECT_EQ(first.items, std::vector<std::int32_t>(all.items.begin(), all.items.begin() + 20));
  EXPECT_EQ(first.scores, std::vector<float>(all.scores.begin(), all.scores.begin() + 20));
}

TEST(TopK, CudaNegativeAndInfiniteScores) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  Problem problem = random_problem({1, 6, 1, 1, 6}, 5);
  problem.queries = {1};
  const float infinity = std::numeric_limits<float>::infinity();
  problem.items = {-2, -0.0f, infinity, -infinity, 0, -1e-40f};
  const Result got = run(*gpus[0], problem, {.biases = false, .excluded = false});
  EXPECT_EQ(got.items, (std::vector<std::int32_t>{2, 1, 4, 5, 0, -1}));
  EXPECT_EQ(got.scores[0], infinity);
  EXPECT_EQ(got.scores[4], -2);
}

}  // namespace
}  // namespace gradmill
