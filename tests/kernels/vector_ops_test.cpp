#include "kernels/vector_ops/vector_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/optimizers.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::random_values;

constexpr std::int64_t kSizes[] = {0, 1, 31, 32, 33, 257, 10'000, 20'001};

struct Table {
  std::int64_t rows = 4, size, stride;
  std::vector<double> values;
  explicit Table(std::int64_t n) : size(n), stride(n + 3) {
    const auto random = random_values(rows * stride, 5);
    values.assign(random.begin(), random.end());
  }
  MatrixView<double> view() { return {values.data(), rows, size, stride, {}}; }
};

TEST(VectorOps, DotsAndCombinationsForEverySizeAndAnyThreads) {
  const Context one = Context::cpu(1), three = Context::cpu(3);
  for (const std::int64_t n : kSizes) {
    Table t(n);
    VectorDotsArgs dots;
    dots.vectors = t.view();
    dots.pairs[0] = {0, 1};
    dots.pairs[1] = {2, 2};
    dots.num_pairs = 2;
    double got[2], again[2];
    dots.results = {got, 2, {}};
    vector_dots(one, dots);
    dots.results = {again, 2, {}};
    vector_dots(three, dots);
    double want = 0;
    for (std::int64_t i = 0; i < n; ++i) want += t.view()(0, i) * t.view()(1, i);
    EXPECT_NEAR(got[0], want, 1e-11 * static_cast<double>(n + 1));
    EXPECT_EQ(got[0], again[0]);
    EXPECT_EQ(got[1], again[1]);

    const Table before = t;
    std::vector<float> rounded(static_cast<std::size_t>(n) + 1);
    VectorCombineArgs combine;
    combine.vectors = t.view();
    combine.into = 1;
    combine.terms[0] = {1, 0.5};
    combine.terms[1] = {3, -2.0};
    combine.num_terms = 2;
    combine.rounded = {rounded.data(), n, {}};
    vector_combine(three, combine);
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      const auto s = static_cast<std::size_t>(t.stride);
      const double sum = 0.5 * before.values[s + i] - 2 * before.values[3 * s + i];
      ASSERT_NEAR(t.values[s + i], sum, 1e-12);
      ASSERT_EQ(rounded[i], static_cast<float>(t.values[s + i]));
    }
  }
}

TEST(VectorOps, RegularizeLeavesTheInterceptsFree) {
  const Context ctx = Context::cpu(2);
  for (const std::int64_t n : kSizes) {
    if (n == 0) continue;
    Table t(n);
    const Table before = t;
    double value = 0, want = 0;
    regularize(ctx, {{t.view().row(0), n, {}},
                     n - 1,
                     2.0,
                     0.3,
                     0.5,
                     {t.view().row(1), n, {}},
                     {&value, 1, {}}});
    for (std::int64_t i = 0; i < n; ++i) {
      const double x = t.view()(0, i);
      const double g = before.values[static_cast<std::size_t>(t.stride + i)];
      ASSERT_NEAR(t.view()(1, i), 2 * g + (i < n - 1 ? 0.5 * x : 0), 1e-12);
      if (i < n - 1) want += 0.25 * x * x + 0.3 * std::abs(x);
    }
    EXPECT_NEAR(value, want, 1e-11 * static_cast<double>(n));
  }
}

TEST(VectorOps, OrthantStepsStayInTheirOrthant) {
  const Context ctx = Context::cpu(1);
  // x, gradient, direction; the last element is an intercept.
  std::vector<double> v = {1,   -1,  0,  0,  0,   1,    //
                           0.5, 0.5, 2,  -2, 0.5, 0.5,  //
                           -2,  -1,  -1, 1,  3,   -4,   //
                           0,   0,   0,  0,  0,   0,    //
                           0,   0,   0,  0,  0,   0};
  const MatrixView<double> table{v.data(), 5, 6, 6, {}};
  pseudo_gradient(ctx, {table, 3, 0, 1, 5, 1.0});
  const std::vector<double> want = {1.5, -0.5, 1, -1, 0, 0.5};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(table(3, i), want[static_cast<std::size_t>(i)]) << i;
  orthant_step(ctx, {table, 4, 0, 2, 3, 5, 1.0, {}});
  // Over zero: stops there; against the pseudo-gradient's fall: stays.
  const std::vector<double> next = {0, -1, -1, 1, 0, -3};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(table(4, i), next[static_cast<std::size_t>(i)]) << i;
}

TEST(VectorOps, ReorderedColumnsComeBack) {
  const Context ctx = Context::cpu(2);
  const auto values = random_values(7 * 3, 2);
  std::vector<float> inner(values.begin(), values.end()), user(21), back(21);
  const std::vector<std::int32_t> order{3, 0, 6, 1, 2, 5, 4};
  const VectorView<const std::int32_t> o{order.data(), 7, {}};
  reorder_columns(ctx, {{inner.data(), 7, 3, 3, {}}, {user.data(), 3, 7, 7, {}}, o, false});
  for (std::size_t j = 0; j < 7; ++j)
    for (std::size_t c = 0; c < 3; ++c)
      EXPECT_EQ(user[c * 7 + static_cast<std::size_t>(order[j])], inner[j * 3 + c]);
  reorder_columns(ctx, {{back.data(), 7, 3, 3, {}}, {user.data(), 3, 7, 7, {}}, o, true});
  EXPECT_EQ(back, inner);
}

TEST(Optimizers, PenaltiesOfMissedStepsAddUp) {
  OptimizerStep o;
  o.l1 = 0.01f;
  float once = 1, many = 1, slot = 0, unused = 0;
  optimizer_settle(o, {0.01f, 0}, 5 * 0.1f, once, slot, unused);
  for (int step = 0; step < 5; ++step)
    optimizer_update(o, {0.01f, 0}, 0, 1, 0.1f, many, slot, unused);
  EXPECT_NEAR(once, many, 1e-6);  // l1: exact but for rounding
  EXPECT_NEAR(once, 0.995f, 1e-6);
  float small = 1e-3f;
  optimizer_settle(o, {0.01f, 0}, 1, small, slot, unused);
  EXPECT_EQ(small, 0.0f);
}

}  // namespace
}  // namespace gradmill
