#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/ials_cg/ials_cg.h"
#include "tests/support/als_reference.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::random_values;

struct Problem {
  std::int64_t rows, cols, k;
  std::vector<std::int64_t> lengths;
  bool weighted = false;
  std::int64_t padding = 0;
  bool implicit = true, biased = false;
};

void check(const Context& gpu, const Problem& p) {
  const auto ratings = testing::random_ratings(p.rows, p.cols, p.lengths, 1);
  const auto nnz = static_cast<std::int64_t>(ratings.indices.size());
  const std::int64_t stride = p.k + p.padding;
  const auto factors = random_values(p.cols * stride, 2, 0.3f);
  auto weights = random_values(nnz, 4);
  for (float& w : weights) w = std::abs(w) + 0.1f;
  const auto gram = testing::reference_gram({factors.data(), p.cols, p.k, stride, {}}, 0.1);
  const std::vector<float> base(gram.begin(), gram.end());
  auto solutions = random_values(p.rows * stride, 6, 0.1f);
  const auto biases = random_values(p.cols, 7, 0.5f);
  auto solution_biases = random_values(p.rows, 8, 0.1f);
  const AlsWeights implicit{.implicit = true,
                            .alpha = 2,
                            .unobserved_weight = 0.1f,
                            .regularization = 0.5f,
                            .ridge_exponent = 0};
  const IalsCgArgs args{
      .ratings = ratings.view(),
      .weights = {p.weighted ? weights.data() : nullptr, p.weighted ? nnz : 0, {}},
      .factors = {factors.data(), p.cols, p.k, stride, {}},
      .biases = {p.biased ? biases.data() : nullptr, p.biased ? p.cols : 0, {}},
      .base = p.implicit ? MatrixView<const float>{base.data(), p.k, p.k, p.k, {}}
                         : MatrixView<const float>{},
      .model = p.implicit ? implicit : AlsWeights{.regularization = 0.05f, .offset = 2.75f},
      .steps = 3,
      .solutions = {solutions.data(), p.rows, p.k, stride, {}},
      .solution_biases = {p.biased ? solution_biases.data() : nullptr, p.biased ? p.rows : 0, {}}};
  testing::expect_device_matches(gpu, fmt::format("ials_cg {} x {}, k {}", p.rows, p.cols, p.k),
                                 args, {2e-3, 2e-4}, ials_cg, [&](const IalsCgArgs& a) {
                                   for (std::int64_t u = 0; u < p.rows; ++u) {
                                     const auto x = testing::reference_ials_cg_row(a, u);
                                     for (std::int64_t c = 0; c < p.k; ++c)
                                       a.solutions(u, c) = static_cast<float>(x[c]);
                                     if (p.biased)
                                       a.solution_biases[u] = static_cast<float>(x[p.k]);
                                   }
                                 });
}

const std::vector<std::int64_t> kSkewed{0, 1, 2, 3, 5, 90, 8, 13, 33, 40, 7, 1, 1, 2, 32, 31, 0, 9};

TEST(IalsCgCuda, EveryNumberOfFactors) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {1, 7, 16, 31, 32, 33, 64, 100, 128, 255, 256})
    check(*gpus[0], {.rows = 18, .cols = 150, .k = k, .lengths = kSkewed});
}

TEST(IalsCgCuda, RowsWeightsAndPadding) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257})
    check(*gpus[0],
          {.rows = rows, .cols = 120, .k = 12, .lengths = kSkewed, .weighted = true, .padding = 4});
  check(*gpus[0], {.rows = 10'000, .cols = 60, .k = 4, .lengths = {3, 0, 9, 1, 20}});
}

TEST(IalsCgCuda, ExplicitRatings) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const bool biased : {false, true}) {
    const auto check_explicit = [&](Problem p) {
      p.implicit = false;
      p.biased = biased;
      check(*gpus[0], p);
    };
    for (const std::int64_t k : {1, 7, 8, 31, 32, 63, 64, 128, 255, 256})
      check_explicit({.rows = 18, .cols = 150, .k = k, .lengths = kSkewed, .weighted = k % 2 == 1});
    for (const std::int64_t rows : {0, 1, 33, 257})
      check_explicit(
          {.rows = rows, .cols = 120, .k = 12, .lengths = kSkewed, .padding = rows % 2 * 4});
  }
}

TEST(IalsCgCuda, ExplicitRowsThatAreFormed) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {4, 16, 20, 63, 64, 100, 128})
    check(*gpus[0], {.rows = 9,
                     .cols = 2500,
                     .k = k,
                     .lengths = {1400, 700, 0, 300, 3, 2500, 400},
                     .weighted = k % 16 == 4,
                     .implicit = false,
                     .biased = true});
  check(*gpus[0], {.rows = 2, .cols = 4500, .k = 256, .lengths = {4200, 90}, .implicit = false});
  check(*gpus[0], {.rows = 2,
                   .cols = 4500,
                   .k = 255,
                   .lengths = {4200, 900},
                   .implicit = false,
                   .biased = true});
}

TEST(IalsCgCuda, RowsThatDoNotFitIntoSharedMemory) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  check(*gpus[0], {.rows = 5, .cols = 6000, .k = 16, .lengths = {5500, 2, 2500, 400, 1}});
  check(*gpus[0], {.rows = 3, .cols = 600, .k = 256, .lengths = {500, 2, 100}});
  check(*gpus[0], {.rows = 2, .cols = 4500, .k = 250, .lengths = {4200, 90}});
  for (const std::int64_t k : {20, 64, 65, 100, 128})
    check(*gpus[0], {.rows = 9,
                     .cols = 1500,
                     .k = k,
                     .lengths = {1400, 700, 0, 300, 3, 1025, 400},
                     .weighted = k == 65,
                     .padding = k % 4});
}

}  // namespace
}  // namespace gradmill
