#include <gtest/gtest.h>

#include "kernels/vector_ops/vector_ops.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {
using testing::expect_device_matches;
using testing::random_values;

constexpr std::int64_t kSizes[] = {0, 1, 31, 32, 33, 257, 4096, 10'000};

/// Rows with zeros and both signs among them.
std::vector<double> random_vectors(std::int64_t count, unsigned seed) {
  std::vector<double> out;
  for (const float v : random_values(count, seed)) out.push_back(std::abs(v) < 0.3f ? 0.0 : v);
  return out;
}

/// The device against the CPU's operation, which vector_ops_test compares with plain loops.
template <class Args, class Op>
void expect_same(const Context& gpu, const char* name, const Args& args, Op&& op) {
  const Context cpu = Context::cpu(2);
  expect_device_matches(gpu, name, args, Args::tolerance, op, [&](const Args& a) { op(cpu, a); });
}

TEST(VectorOps, CudaMatchesTheCpu) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  constexpr std::int64_t kRows = 7;
  for (const std::int64_t n : kSizes) {
    SCOPED_TRACE(n);
    const std::int64_t stride = n + 5, regularized = n * 2 / 3;
    std::vector<double> values = random_vectors(kRows * stride, 1), results(kMaxVectorPairs);
    std::vector<float> rounded(static_cast<std::size_t>(n));
    const MatrixView<double> vectors{values.data(), kRows, n, stride, {}};
    const VectorView<float> floats{rounded.data(), n, {}};

    VectorDotsArgs dots{.vectors = vectors, .pairs = {}, .results = {results.data(), 96, {}}};
    for (const int pairs : {0, 1, 9, kMaxVectorPairs}) {
      dots.num_pairs = pairs;
      for (std::int16_t k = 0; k < pairs; ++k)
        dots.pairs[k] = {static_cast<std::int16_t>(k % kRows),
                         static_cast<std::int16_t>(k * 5 % 3)};
      expect_same(*gpus[0], "vector_dots", dots,
                  [](const auto& c, const auto& a) { vector_dots(c, a); });
    }
    VectorCombineArgs combine{.vectors = vectors,
                              .into = 2,
                              .terms = {{2, 0.5}, {0, -1.5}, {6, 2}},
                              .num_terms = 3,
                              .rounded = floats};
    for (const int terms : {0, 1, 3}) {
      combine.num_terms = terms;
      expect_same(*gpus[0], "vector_combine", combine,
                  [](const auto& c, const auto& a) { vector_combine(c, a); });
    }
    double value = 0;
    expect_same(*gpus[0], "regularize",
                RegularizeArgs{.x = {vectors.row(0), n, {}},
                               .regularized = regularized,
                               .scale = 0.25,
                               .l1 = 0.1,
                               .l2 = 0.3,
                               .gradient = {vectors.row(1), n, {}},
                               .value = {&value, 1, {}}},
                [](const auto& c, const auto& a) { regularize(c, a); });
    for (std::int64_t i = 0; i < n; ++i) vectors(3, i) = std::abs(vectors(3, i));
    expect_same(*gpus[0], "precondition",
                PreconditionArgs{
                    .vectors = vectors, .into = 4, .numerator = 1, .diagonal = 3, .share = 0.2},
                [](const auto& c, const auto& a) { precondition(c, a); });
    expect_same(*gpus[0], "pseudo_gradient",
                PseudoGradientArgs{.vectors = vectors,
                                   .into = 5,
                                   .x = 0,
                                   .gradient = 1,
                                   .regularized = regularized,
                                   .l1 = 0.4},
                [](const auto& c, const auto& a) { pseudo_gradient(c, a); });
    expect_same(*gpus[0], "orthant_step",
                OrthantStepArgs{.vectors = vectors,
                                .into = 4,
                                .x = 0,
                                .direction = 6,
                                .pseudo_gradient = 5,
                                .regularized = regularized,
                                .step = 0.7,
                                .rounded = floats},
                [](const auto& c, const auto& a) { orthant_step(c, a); });
    const std::vector<float> to_add = random_values(n, 3);
    double total = 0;
    expect_same(*gpus[0], "sum",
                SumArgs{.values = {to_add.data(), n, {}}, .total = {&total, 1, {}}},
                [](const auto& c, const auto& a) { sum(c, a); });
  }
}

TEST(VectorOps, CudaReordersColumns) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t n : {0, 1, 33, 1000})
    for (const std::int64_t outputs : {1, 3})
      for (const bool backward : {false, true})
        for (const bool ordered : {false, true}) {
          std::vector<float> inner = random_values(n * (outputs + 1), 1),
                             user = random_values(n * outputs, 2);
          std::vector<std::int32_t> order;
          for (std::int64_t j = 0; ordered && j < n; ++j)
            order.push_back(static_cast<std::int32_t>((j * 7 + 3) % n));
          const VectorView<const std::int32_t> view{
              order.empty() ? nullptr : order.data(), static_cast<std::int64_t>(order.size()), {}};
          expect_same(*gpus[0], "reorder_columns",
                      ReorderColumnsArgs{.inner = {inner.data(), n, outputs, outputs + 1, {}},
                                         .user = {user.data(), outputs, n, n, {}},
                                         .order = view,
                                         .backward = backward},
                      [](const auto& c, const auto& a) { reorder_columns(c, a); });
        }
}

}  // namespace
}  // namespace gradmill
