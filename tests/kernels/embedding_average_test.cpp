#include "kernels/embedding_average/embedding_average.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/device_run.h"
#include "tests/support/devices.h"

namespace gradmill {
namespace {
constexpr std::int64_t kRows = 50, kDim = 5;

struct Problem {
  std::vector<float> table, averages;
  std::vector<std::int32_t> at = std::vector<std::int32_t>(kRows, 0), ids;
  std::vector<std::int64_t> count{0};
  std::vector<double> state = std::vector<double>(StepState::count, 0.0);
  Problem() {
    for (std::int64_t i = 0; i < kRows * kDim; ++i)
      table.push_back(static_cast<float>(i % 17) / 8 - 1);
    averages = table;
    ids.resize(kRows);
    state[StepState::applies] = 1;
  }
  template <class T>
  static VectorView<T> view(std::vector<T>& v) {
    return {v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
  EmbeddingAverageArgs args(bool settle) {
    EmbeddingAverageArgs a;
    if (!settle) a.ids = view(ids), a.count = view(count);
    a.state = view(state);
    a.decay = 0.9f;
    a.table = {table.data(), kRows, kDim, kDim, {}};
    a.averages = {averages.data(), kRows, kDim, kDim, {}};
    a.at = view(at);
    return a;
  }
};

TEST(EmbeddingAverageTest, RowsThatAreRarelyTouchedHaveTheAverageOfEveryStep) {
  Problem p;
  std::vector<double> every(p.table.begin(), p.table.end());
  const Context ctx = Context::cpu(2);
  for (int step = 1; step <= 40; ++step) {
    p.state[StepState::made] = step;
    p.count[0] = 0;
    for (std::int32_t row = step % 7; row < kRows; row += 7 + step % 3)
      p.ids[static_cast<std::size_t>(p.count[0]++)] = row;
    embedding_average(ctx, p.args(false));
    for (std::int64_t u = 0; u < p.count[0]; ++u)
      for (std::int64_t k = 0; k < kDim; ++k)
        p.table[static_cast<std::size_t>(p.ids[static_cast<std::size_t>(u)] * kDim + k)] += 0.25f;
    for (std::size_t i = 0; i < every.size(); ++i)
      every[i] = double{0.9f} * every[i] + (1 - double{0.9f}) * p.table[i];
  }
  embedding_average(ctx, p.args(true));
  embedding_average(ctx, p.args(true));  // nothing is left to do
  for (std::size_t i = 0; i < every.size(); ++i) ASSERT_NEAR(p.averages[i], every[i], 1e-5) << i;
  EXPECT_EQ(p.at, std::vector<std::int32_t>(kRows, 40));
}

TEST(EmbeddingAverageTest, AStepThatDoesNotApplyChangesNothing) {
  Problem p;
  p.state[StepState::made] = 5;
  p.state[StepState::applies] = 0;
  p.count[0] = 3;
  embedding_average(Context::cpu(1), p.args(false));
  EXPECT_EQ(p.at, std::vector<std::int32_t>(kRows, 0));
}

TEST(EmbeddingAverageCuda, BatchesAndAllRows) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const bool settle : {false, true}) {
    Problem p;
    p.state[StepState::made] = 9;
    p.count[0] = 20;
    for (std::size_t u = 0; u < 20; ++u) p.ids[u] = static_cast<std::int32_t>(2 * u);
    for (std::size_t r = 0; r < kRows; ++r) p.at[r] = static_cast<std::int32_t>(r % 9);
    for (float& x : p.averages) x += 1;
    testing::expect_device_matches(*gpus[0], "embedding_average", p.args(settle), {1e-5, 1e-6},
                                   embedding_average,
                                   [](const auto& a) { embedding_average(Context::cpu(1), a); });
  }
}
}  // namespace
}  // namespace gradmill
