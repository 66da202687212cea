#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "kernels/mf_predict/mf_predict.h"
#include "runtime/buffer.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::random_values;

struct Shape {
  std::int64_t pairs, users, items, k, stride;
};

struct Problem {
  Shape shape;
  std::vector<std::int32_t> user_ids, item_ids;
  std::vector<float> users, items, user_biases, item_biases, values, weights;
};

Problem random_problem(const Shape& s, unsigned seed) {
  Problem p{s, {}, {}, {}, {}, {}, {}, {}, {}};
  std::mt19937 rng(seed);
  for (std::int64_t b = 0; b < s.pairs; ++b) {  // some ids are unknown
    p.user_ids.push_back(rng() % 9 == 0 ? -1 : static_cast<std::int32_t>(rng() % s.users));
    p.item_ids.push_back(rng() % 9 == 0 ? -1 : static_cast<std::int32_t>(rng() % s.items));
  }
  // Padding holds NaN: it must not reach a sum.
  const auto table = [&](std::int64_t rows, unsigned each) {
    std::vector<float> t = random_values(rows * s.stride, each);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t f = s.k; f < s.stride; ++f)
        t[static_cast<std::size_t>(r * s.stride + f)] = NAN;
    return t;
  };
  p.users = table(s.users, seed + 1);
  p.items = table(s.items, seed + 2);
  p.user_biases = random_values(s.users, seed + 3);
  p.item_biases = random_values(s.items, seed + 4);
  p.values = random_values(s.pairs, seed + 5, 3.0f);
  for (float v : random_values(s.pairs, seed + 6)) p.weights.push_back(std::abs(v));
  return p;
}

struct Options {
  bool biases = true, errors = true, weights = true, predictions = true;
  float low = -3.4e38f, high = 3.4e38f;
};
struct Result {
  std::vector<float> predictions;
  std::vector<double> error_sums;
};

constexpr float kOffset = 3.5f;
constexpr double kSumsBefore[] = {1, 2, 3};  // what the sums hold is added to

Result run(const Context& ctx, const Problem& p, const Options& o) {
  const Shape& s = p.shape;
  const auto users = Buffer<float>::from_host(ctx, p.users),
             items = Buffer<float>::from_host(ctx, p.items);
  const auto user_ids = Buffer<std::int32_t>::from_host(ctx, p.user_ids),
             item_ids = Buffer<std::int32_t>::from_host(ctx, p.item_ids);
  const auto user_biases = Buffer<float>::from_host(ctx, p.user_biases),
             item_biases = Buffer<float>::from_host(ctx, p.item_biases);
  const auto values = Buffer<float>::from_host(ctx, p.values),
             weights = Buffer<float>::from_host(ctx, p.weights);
  Buffer<float> predictions(ctx, o.predictions ? s.pairs : 0);
  auto sums = Buffer<double>::from_host(ctx, kSumsBefore);
  MfPredictArgs args{.user_ids = user_ids.view(),
                     .item_ids = item_ids.view(),
                     .users = users.matrix(s.users, s.k, s.stride),
                     .items = items.matrix(s.items, s.k, s.stride),
                     .user_biases = {},
                     .item_biases = {},
                     .offset = kOffset,
                     .low = o.low,
                     .high = o.high,
                     .values = {},
                     .weights = {},
                     .predictions = predictions.view(),
                     .error_sums = sums.view()};
  if (o.biases) args.user_biases = user_biases.view(), args.item_biases = item_biases.view();
  if (o.errors) args.values = values.view();
  if (o.errors && o.weights) args.weights = weights.view();
  mf_predict(ctx, args);
  return {predictions.to_host(), sums.to_host()};
}

/// In double precision.
void expect_right(const Problem& p, const Options& o, const Result& got) {
  const Shape& s = p.shape;
  double sums[3] = {kSumsBefore[0], kSumsBefore[1], kSumsBefore[2]};
  for (std::size_t b = 0; b < p.user_ids.size(); ++b) {
    const std::int32_t u = p.user_ids[b], i = p.item_ids[b];
    double want = kOffset, magnitude = 10;
    if (u >= 0 && o.biases) want += p.user_biases[static_cast<std::size_t>(u)];
    if (i >= 0 && o.biases) want += p.item_biases[static_cast<std::size_t>(i)];
    for (std::int64_t f = 0; u >= 0 && i >= 0 && f < s.k; ++f) {
      const double term = static_cast<double>(p.users[static_cast<std::size_t>(u * s.stride + f)]) *
                          p.items[static_cast<std::size_t>(i * s.stride + f)];
      want += term;
      magnitude += std::abs(term);
    }
    want = std::clamp(want, static_cast<double>(o.low), static_cast<double>(o.high));
    if (o.predictions) {
      ASSERT_NEAR(got.predictions[b], want, magnitude * 1e-6) << "pair " << b;
    }
    if (!o.errors) continue;
    const double w = o.weights ? p.weights[b] : 1.0, error = p.values[b] - want;
    sums[0] += w;
    sums[1] += w * error * error;
    sums[2] += w * std::abs(error);
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_NEAR(got.error_sums[static_cast<std::size_t>(i)], sums[i], 1e-5 * std::abs(sums[i]))
        << "sum " << i;
}

constexpr Shape kShapes[] = {{0, 3, 3, 8, 32},           {1, 1, 1, 1, 1},
                             {31, 5, 7, 3, 32},          {32, 5, 7, 16, 16},
                             {33, 9, 2, 31, 31},         {257, 40, 30, 33, 64},
                             {257, 40, 30, 64, 64},      {511, 20, 10, 100, 128},
                             {512, 20, 10, 128, 128},    {513, 20, 10, 129, 160},
                             {10'000, 500, 300, 20, 32}, {1000, 50, 30, 257, 260}};

TEST(MfPredict, CudaMatchesDoublePrecision) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(std::to_string(shape.pairs) + " pairs, k = " + std::to_string(shape.k) +
                 ", stride " + std::to_string(shape.stride));
    const Problem problem = random_problem(shape, 1);
    for (const Options& options :
         {Options{}, Options{.biases = false, .weights = false}, Options{.errors = false},
          Options{.predictions = false}, Options{.low = 1, .high = 5}})
      expect_right(problem, options, run(*gpus[0], problem, options));
  }
}

TEST(MfPredict, CudaRepeatsItsBits) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Problem problem = random_problem({10'000, 500, 300, 20, 32}, 2);
  const Result once = run(*gpus[0], problem, {}), again = run(*gpus[0], problem, {});
  EXPECT_EQ(once.predictions, again.predictions);
  EXPECT_EQ(once.error_sums, again.error_sums);
}

/// The prediction of a pair may not depend on its place in the batch.
TEST(MfPredict, CudaPredictionDependsOnItsPairAlone) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  Problem problem = random_problem({1000, 50, 30, 33, 64}, 3);
  const std::vector<float> forth = run(*gpus[0], problem, {.errors = false}).predictions;
  std::reverse(problem.user_ids.begin(), problem.user_ids.end());
  std::reverse(problem.item_ids.begin(), problem.item_ids.end());
  std::vector<float> back = run(*gpus[0], problem, {.errors = false}).predictions;
  std::reverse(back.begin(), back.end());
  EXPECT_EQ(forth, back);
}

}  // namespace
}  // namespace gradmill
