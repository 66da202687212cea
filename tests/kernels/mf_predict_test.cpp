#include "kernels/mf_predict/mf_predict.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/support/mf_reference.h"
#include "tests/support/random_ratings.h"

namespace gradmill::testing {
namespace {
struct Shape {
  std::int64_t pairs, users, items, k;
  bool biased, weighted;
};
constexpr Shape kShapes[] = {
    {0, 1, 1, 8, true, true},
    {1, 1, 1, 1, false, false},
    {31, 5, 4, 31, true, false},
    {32, 40, 40, 32, false, true},
    {33, 10, 10, 33, true, true},
    {257, 20, 9, 64, true, false},
    {10'000, 200, 300, 100, true, true},
    {10'000, 50, 50, 257, false, false},
};

struct Problem {
  std::vector<std::int32_t> user_ids, item_ids;
  std::vector<float> users, items, user_biases, item_biases, values, weights, predictions;
  std::vector<double> sums{0.5, 0.25, 0.125};
  MfPredictArgs args;

  explicit Problem(const Shape& s)
      : users(random_values(s.users * (s.k + 2), 1, 0.3f)),
        items(random_values(s.items * s.k, 2, 0.3f)),
        user_biases(random_values(s.biased ? s.users : 0, 3)),
        item_biases(random_values(s.biased ? s.items : 0, 4)),
        values(random_values(s.pairs, 5)),
        weights(random_values(s.weighted ? s.pairs : 0, 6)),
        predictions(static_cast<std::size_t>(s.pairs)) {
    std::mt19937 rng(7);
    for (std::int64_t b = 0; b < s.pairs; ++b) {  // every tenth or so is unknown: -1
      const auto draw = [&](std::int64_t n) {
        return rng() % 10 ? static_cast<std::int32_t>(rng() % static_cast<unsigned>(n)) : -1;
      };
      user_ids.push_back(draw(s.users));
      item_ids.push_back(draw(s.items));
    }
    for (float& w : weights) w = std::abs(w);
    const auto view = [](auto& v) {
      return VectorView<std::remove_reference_t<decltype(v[0])>>{
          v.data(), static_cast<std::int64_t>(v.size()), {}};
    };
    args.user_ids = view(user_ids), args.item_ids = view(item_ids);
    args.users = {users.data(), s.users, s.k, s.k + 2, {}};
    args.items = {items.data(), s.items, s.k, s.k, {}};
    args.user_biases = view(user_biases), args.item_biases = view(item_biases);
    args.offset = 0.5f, args.low = -2, args.high = 2.5f;
    args.values = view(values), args.weights = view(weights);
    args.predictions = view(predictions), args.error_sums = view(sums);
  }
};

class MfPredict : public ::testing::TestWithParam<Shape> {};

TEST_P(MfPredict, MatchesDoublePrecision) {
  Problem p(GetParam());
  mf_predict(Context::cpu(2), p.args);
  for (std::int64_t b = 0; b < GetParam().pairs; ++b)
    ASSERT_NEAR(p.args.predictions[b], reference_prediction(p.args, b), 1e-4) << b;
  const auto want = reference_error_sums(p.args);
  for (std::size_t s = 0; s < 3; ++s)  // the kernel adds to what is there
    EXPECT_NEAR(p.sums[s], want[s] + std::ldexp(0.5, -static_cast<int>(s)), 1e-4 * (1 + want[s]));
}

TEST_P(MfPredict, BitsDoNotDependOnThreads) {
  Problem one(GetParam()), many(GetParam());
  mf_predict(Context::cpu(1), one.args);
  mf_predict(Context::cpu(3), many.args);
  EXPECT_EQ(one.predictions, many.predictions);
  EXPECT_EQ(one.sums, many.sums);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MfPredict, ::testing::ValuesIn(kShapes));

TEST(MfPredictProperties, OutputsMayBeLeftOut) {
  Problem p({100, 5, 5, 8, true, false});
  MfPredictArgs args = p.args;
  args.predictions = {};
  mf_predict(Context::cpu(1), args);
  EXPECT_GT(p.sums[0], 99);
  args = p.args;
  args.values = {}, args.error_sums = {};
  mf_predict(Context::cpu(1), args);
  EXPECT_NEAR(p.predictions[0], reference_prediction(p.args, 0), 1e-4);
}

TEST(MfPredictProperties, ShapesThatDisagreeAreContractErrors) {
  Problem p({10, 5, 5, 8, true, false});
  MfPredictArgs args = p.args;
  args.item_ids.size = 9;
  EXPECT_THROW(mf_predict(Context::cpu(1), args), Error);
  args = p.args;
  args.items.cols = 7;
  EXPECT_THROW(mf_predict(Context::cpu(1), args), Error);
  args = p.args;
  args.error_sums.size = 2;
  EXPECT_THROW(mf_predict(Context::cpu(1), args), Error);
}
}  // namespace
}  // namespace gradmill::testing
