#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/als_solve/als_solve.h"
#include "tests/support/als_reference.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::random_ratings;
using testing::random_values;

struct Problem {
  std::int64_t rows, cols, k;
  std::vector<std::int64_t> lengths;
  bool implicit = false, biased = false, weighted = false;
  std::int64_t padding = 0;  // floats after each factor row
  std::int64_t workspace_bytes = std::int64_t{1} << 30;

  std::string name() const {
    return fmt::format("als_solve {} x {}, k {}{}{}{}", rows, cols, k, implicit ? " implicit" : "",
                       biased ? " biased" : "", weighted ? " weighted" : "");
  }
};

void check(const Context& gpu, const Problem& p) {
  constexpr float kPad = -7;
  const auto ratings = random_ratings(p.rows, p.cols, p.lengths, 1);
  const auto nnz = static_cast<std::int64_t>(ratings.indices.size());
  const std::int64_t stride = p.k + p.padding;
  const auto factors = random_values(p.cols * stride, 2, 0.3f), biases = random_values(p.cols, 3);
  auto weights = random_values(nnz, 4);
  for (float& w : weights) w = std::abs(w) + 0.1f;
  auto base = random_values(p.k * p.k, 5, 0.1f);
  for (std::int64_t r = 0; r < p.k; ++r)
    for (std::int64_t c = 0; c <= r; ++c)
      base[r * p.k + c] = base[c * p.k + r] = r == c ? static_cast<float>(p.k) : base[r * p.k + c];
  std::vector<float> solutions(static_cast<std::size_t>(p.rows * stride), kPad),
      solution_biases(static_cast<std::size_t>(p.rows), kPad);
  std::vector<std::int32_t> failures(1, 0);
  AlsSolveArgs args{
      .ratings = ratings.view(),
      .weights = {p.weighted ? weights.data() : nullptr, p.weighted ? nnz : 0, {}},
      .factors = {factors.data(), p.cols, p.k, stride, {}},
      .biases = {p.biased ? biases.data() : nullptr, p.biased ? p.cols : 0, {}},
      .base = {p.implicit ? base.data() : nullptr, p.implicit ? p.k : 0, p.k, p.k, {}},
      .model = {.implicit = p.implicit,
                .alpha = 2,
                .unobserved_weight = 0.5f,
                .regularization = 0.2f,
                .ridge_exponent = p.implicit ? 0.0f : 1.0f,
                .offset = 3},
      .solutions = {solutions.data(), p.rows, p.k, stride, {}},
      .solution_biases = {solution_biases.data(), p.biased ? p.rows : 0, {}},
      .failures = {failures.data(), 1, {}},
      .workspace_bytes = p.workspace_bytes};
  const auto reference = [&](const AlsSolveArgs& a) {
    for (std::int64_t u = 0; u < p.rows; ++u) {
      const auto x = testing::reference_als_row(a, u);
      ASSERT_FALSE(x.empty());
      for (std::int64_t c = 0; c < p.k; ++c) a.solutions(u, c) = static_cast<float>(x[c]);
      if (p.biased) a.solution_biases[u] = static_cast<float>(x[p.k]);
    }
  };
  const auto padding_is_left_alone = [&](const AlsSolveArgs& a) {
    const auto host = testing::to_host(gpu, a.solutions);
    for (std::int64_t u = 0; u < p.rows; ++u)
      for (std::int64_t c = p.k; c < stride; ++c) ASSERT_EQ(host[u * stride + c], kPad);
  };
  testing::expect_device_matches(gpu, p.name(), args, {1e-3, 1e-3}, als_solve, reference,
                                 padding_is_left_alone);
}

const std::vector<std::int64_t> kSkewed{0, 1, 2, 3, 5, 90, 8, 13, 33, 40, 7, 1, 1, 2, 32, 31, 0, 9};

TEST(AlsSolveCuda, EveryNumberOfFactors) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {1, 7, 8, 16, 31, 32, 33, 64, 100, 128, 255, 256})
    check(*gpus[0], {.rows = 23, .cols = 150, .k = k, .lengths = kSkewed});
}

TEST(AlsSolveCuda, Rows) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257})
    for (const std::int64_t k : {8, 33})
      check(*gpus[0], {.rows = rows, .cols = 120, .k = k, .lengths = kSkewed});
  check(*gpus[0], {.rows = 10'000, .cols = 60, .k = 5, .lengths = {3, 0, 9, 1, 20}});
}

TEST(AlsSolveCuda, BiasesAndWeights) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {1, 8, 31, 64, 256}) {
    check(*gpus[0], {.rows = 20, .cols = 100, .k = k, .lengths = kSkewed, .biased = true});
    check(*gpus[0], {.rows = 20,
                     .cols = 100,
                     .k = k,
                     .lengths = kSkewed,
                     .biased = true,
                     .weighted = true,
                     .padding = 3});
  }
}

TEST(AlsSolveCuda, Implicit) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {7, 32, 65, 128}) {
    check(*gpus[0], {.rows = 30, .cols = 100, .k = k, .lengths = kSkewed, .implicit = true});
    check(*gpus[0], {.rows = 30,
                     .cols = 100,
                     .k = k,
                     .lengths = kSkewed,
                     .implicit = true,
                     .weighted = true,
                     .padding = 4});
  }
}

TEST(AlsSolveCuda, RowsLongerThanOneGroupSums) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  // 64 factors: 7 groups, rows of more than 224 ratings are long, 4 of them wait at a time.
  const std::vector<std::int64_t> mixed{224, 225, 900,  3, 1024, 0,   300, 500, 700, 223,
                                        1,   260, 1000, 7, 40,   801, 226, 64,  33,  999};
  check(*gpus[0], {.rows = 20, .cols = 1100, .k = 64, .lengths = mixed});
  check(*gpus[0], {.rows = 20, .cols = 1100, .k = 64, .lengths = mixed, .biased = true});
  check(*gpus[0], {.rows = 20, .cols = 1100, .k = 64, .lengths = mixed, .implicit = true});
  for (const std::int64_t k : {33, 120})  // 17 groups and 2
    check(*gpus[0], {.rows = 20, .cols = 1100, .k = k, .lengths = mixed, .weighted = true});
}

TEST(AlsSolveCuda, HeavyRowsAreSplit) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const std::vector<std::int64_t> heavy{3, 5000, 1024, 1025, 0, 2048, 7, 6000, 40, 3000};
  check(*gpus[0], {.rows = 10, .cols = 6000, .k = 7, .lengths = heavy});
  check(*gpus[0], {.rows = 21, .cols = 6000, .k = 16, .lengths = heavy, .biased = true});
  // So little memory that the chunks' sums are made in many passes.
  for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{40'000}})
    check(*gpus[0], {.rows = 21,
                     .cols = 6000,
                     .k = 16,
                     .lengths = heavy,
                     .biased = true,
                     .workspace_bytes = bytes});
}

TEST(AlsSolveCuda, BitsDoNotDependOnTheMemoryForPartialSums) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& gpu = *gpus[0];
  const auto ratings = random_ratings(12, 5000, {4000, 10, 2500, 1, 0, 1100}, 1);
  const auto factors = random_values(5000 * 16, 2, 0.3f);
  std::vector<std::vector<float>> results;
  for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{30'000}, std::int64_t{1} << 28}) {
    std::vector<float> solutions(12 * 16);
    std::vector<std::int32_t> failures(1, 0);
    AlsSolveArgs args{};
    args.ratings = ratings.view();
    args.factors = {factors.data(), 5000, 16, 16, {}};
    args.solutions = {solutions.data(), 12, 16, 16, {}};
    args.failures = {failures.data(), 1, {}};
    args.workspace_bytes = bytes;
    ArgumentTwin twin(gpu);
    args.visit(twin);
    als_solve(gpu, args);
    results.push_back(testing::to_host(gpu, args.solutions));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(AlsSolveCuda, SingularRowsAreCountedAndZero) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& gpu = *gpus[0];
  // One rating and no regularization: rank 1.
  const auto ratings = random_ratings(40, 50, {1, 30, 1}, 1);
  const auto factors = random_values(50 * 8, 2);
  std::vector<float> solutions(40 * 8, 1.0f);
  std::vector<std::int32_t> failures(1, 5);
  AlsSolveArgs args{};
  args.ratings = ratings.view();
  args.factors = {factors.data(), 50, 8, 8, {}};
  args.model.regularization = 0;
  args.solutions = {solutions.data(), 40, 8, 8, {}};
  args.failures = {failures.data(), 1, {}};
  ArgumentTwin twin(gpu);
  args.visit(twin);
  als_solve(gpu, args);
  const auto host = testing::to_host(gpu, args.solutions);
  std::int32_t failed = 0;
  copy_bytes(gpu, &failed, Device{}, args.failures.data, gpu.device(), sizeof(failed));
  gpu.synchronize();
  EXPECT_EQ(failed, 5 + 27);
  for (int row = 0; row < 40; ++row) {
    const bool zero =
        std::all_of(&host[row * 8], &host[row * 8] + 8, [](float x) { return x == 0; });
    EXPECT_EQ(zero, row % 3 != 1) << row;
  }
}

}  // namespace
}  // namespace gradmill
