#include "kernels/mf_sgd/mf_sgd.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/support/mf_reference.h"

namespace gradmill::testing {
namespace {
struct Shape {
  std::int64_t ratings;
  std::int32_t blocks, user_rows, item_rows;
  std::int64_t k, stride;
};
constexpr Shape kShapes[] = {
    {0, 1, 1, 1, 8, 16},         {1, 1, 1, 1, 1, 16},          {31, 1, 5, 4, 31, 32},
    {32, 1, 40, 40, 32, 32},     {33, 2, 10, 10, 33, 64},      {257, 2, 20, 9, 64, 64},
    {2000, 4, 30, 20, 100, 128}, {10'000, 4, 100, 60, 64, 64}, {3000, 1, 50, 50, 257, 288},
    {2000, 2, 40, 40, 300, 320},
};

void expect_near(const std::vector<float>& got, const std::vector<double>& want, const char* what,
                 double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t n = 0; n < got.size(); ++n)
    ASSERT_NEAR(got[n], want[n], tolerance * (1 + std::abs(want[n]))) << what << " at " << n;
}

class MfSgd : public ::testing::TestWithParam<Shape> {};

TEST_P(MfSgd, MatchesDoublePrecisionInAnyOrderOfWaves) {
  const Context ctx = Context::cpu(2);
  const auto [ratings, blocks, user_rows, item_rows, k, stride] = GetParam();
  for (const bool groups : {false, true}) {
    for (const auto& [adagrad, weighted] :
         {std::pair{true, false}, {false, false}, {true, true}, {false, true}}) {
      SgdProblem p = random_sgd_problem(ratings, blocks, user_rows, item_rows, k, stride, 5);
      if (weighted) add_weights(p);
      SgdReference want(p);
      MfSgdArgs args = p.args(groups);
      args.rates = {adagrad ? 0.1f : 0.01f, 0.04f, 0.02f, adagrad, 3.0f};
      for (int epoch = 0; epoch < 2; ++epoch) {
        for (std::int32_t s = 0; s < blocks; ++s) {
          args.shift = (2 * blocks - s + epoch) % blocks;
          mf_sgd(ctx, args);
          want.wave(p, args.shift, args.rates);
        }
      }
      // Single precision errors grow along a row's chain of updates, at most 500 here.
      expect_near(p.users, want.users, "user factor", 1e-4);
      expect_near(p.items, want.items, "item factor", 1e-4);
      expect_near(p.user_state, want.user_state, "user state", 3e-4);
      expect_near(p.item_state, want.item_state, "item state", 3e-4);
      for (std::size_t i = 0; i < p.loss.size(); ++i)
        EXPECT_NEAR(p.loss[i], want.loss[i], 1e-4 * (1 + want.loss[i]));
    }
  }
}

TEST_P(MfSgd, BitsDoNotDependOnThreads) {
  const auto [ratings, blocks, user_rows, item_rows, k, stride] = GetParam();
  SgdProblem one = random_sgd_problem(ratings, blocks, user_rows, item_rows, k, stride, 9);
  SgdProblem many = one;
  for (auto [problem, threads] : {std::pair{&one, 1}, {&many, 3}}) {
    const Context ctx = Context::cpu(threads);
    MfSgdArgs args = problem->args(true);
    for (args.shift = 0; args.shift < blocks; ++args.shift) mf_sgd(ctx, args);
  }
  EXPECT_EQ(one.users, many.users);
  EXPECT_EQ(one.items, many.items);
  EXPECT_EQ(one.user_state, many.user_state);
  EXPECT_EQ(one.item_state, many.item_state);
  EXPECT_EQ(one.loss, many.loss);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MfSgd, ::testing::ValuesIn(kShapes));

TEST(MfSgdProperties, GroupsChangeNoBit) {
  const Context ctx = Context::cpu(1);
  SgdProblem in_order = random_sgd_problem(5000, 2, 60, 40, 48, 48, 3);
  SgdProblem in_groups = in_order;
  mf_sgd(ctx, in_order.args(false));
  mf_sgd(ctx, in_groups.args(true));
  EXPECT_EQ(in_order.users, in_groups.users);
  EXPECT_EQ(in_order.item_state, in_groups.item_state);
}

TEST(MfSgdProperties, WeightOneIsNoWeightAndWeightZeroNoRating) {
  const Context ctx = Context::cpu(1);
  SgdProblem plain = random_sgd_problem(5000, 2, 60, 40, 48, 48, 3), ones = plain, zeros = plain;
  const SgdProblem before = plain;
  ones.weights.assign(ones.values.size(), 1);
  zeros.weights.assign(zeros.values.size(), 0);
  for (SgdProblem* p : {&plain, &ones, &zeros}) mf_sgd(ctx, p->args(true));
  EXPECT_EQ(ones.users, plain.users);
  EXPECT_EQ(ones.item_state, plain.item_state);
  EXPECT_EQ(zeros.users, before.users);
  for (std::size_t n = 0; n < before.item_state.size(); ++n)  // norms are carried on, so rounded
    EXPECT_NEAR(zeros.item_state[n], before.item_state[n], 1e-6);
  EXPECT_EQ(zeros.loss, before.loss);
}

TEST(MfSgdProperties, PaddingStaysZero) {
  const Context ctx = Context::cpu(1);
  SgdProblem p = random_sgd_problem(3000, 1, 30, 30, 33, 64, 3);
  for (int epoch = 0; epoch < 5; ++epoch) mf_sgd(ctx, p.args(true));
  for (std::size_t n = 0; n < p.users.size(); ++n)
    if (n % 64 >= 33) {
      ASSERT_EQ(p.users[n], 0.0f);
    }
}

TEST(MfSgdProperties, RowsWithoutPaddingAreNotOverrun) {
  const Context ctx = Context::cpu(1);
  SgdProblem padded = random_sgd_problem(3000, 1, 30, 30, 33, 64, 3),
             tight = random_sgd_problem(3000, 1, 30, 30, 33, 33, 3);
  ASSERT_EQ(padded.values.size(), tight.values.size());
  mf_sgd(ctx, padded.args(true));
  mf_sgd(ctx, tight.args(true));
  for (std::size_t r = 0; r < 30; ++r)
    for (std::size_t f = 0; f < 33; ++f)
      ASSERT_EQ(padded.users[r * 64 + f], tight.users[r * 33 + f]) << r << ' ' << f;
}

TEST(MfSgdProperties, TrainingLowersTheLoss) {
  const Context ctx = Context::cpu(1);
  SgdProblem p = random_sgd_problem(5000, 2, 40, 40, 16, 16, 1);
  MfSgdArgs args = p.args(true);
  args.rates.global_mean = 3;
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 20; ++epoch) {
    p.loss = {0, 0};
    for (args.shift = 0; args.shift < 2; ++args.shift) mf_sgd(ctx, args);
    (epoch == 0 ? first : last) = p.loss[0] + p.loss[1];
  }
  EXPECT_LT(last, 0.8 * first);
}

TEST(MfSgdProperties, ShapesThatDisagreeAreContractErrors) {
  const Context ctx = Context::cpu(1);
  SgdProblem p = random_sgd_problem(10, 2, 4, 4, 16, 16, 1);
  MfSgdArgs args = p.args(true);
  args.items.cols = 8;
  EXPECT_THROW(mf_sgd(ctx, args), Error);
  args = p.args(true);
  args.blocks.item_blocks = 1;
  EXPECT_THROW(mf_sgd(ctx, args), Error);
  args = p.args(true);
  args.user_state.cols = 3;
  EXPECT_THROW(mf_sgd(ctx, args), Error);
  args = p.args(true);
  args.loss.size = 1;
  EXPECT_THROW(mf_sgd(ctx, args), Error);
}
}  // namespace
}  // namespace gradmill::testing
