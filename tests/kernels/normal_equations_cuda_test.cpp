#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/normal_equations/normal_equations.h"
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
  bool implicit = false, biased = false, add_ridge = true;
};

void check(const Context& gpu, const Problem& p) {
  const auto ratings = testing::random_ratings(p.rows, p.cols, p.lengths, 1);
  const auto nnz = static_cast<std::int64_t>(ratings.indices.size());
  const auto factors = random_values(p.cols * p.k, 2), biases = random_values(p.cols, 3),
             weights = random_values(nnz, 4);
  auto base = random_values(p.k * p.k, 5);
  for (std::int64_t r = 0; r < p.k; ++r)
    for (std::int64_t c = 0; c < r; ++c) base[c * p.k + r] = base[r * p.k + c];
  const std::int64_t m = p.k + (p.biased ? 1 : 0);
  std::vector<float> systems(static_cast<std::size_t>(p.rows * m * m)),
      rhs(static_cast<std::size_t>(p.rows * m));
  const NormalEquationsArgs args{
      .ratings = ratings.view(),
      .weights = {weights.data(), nnz, {}},
      .factors = {factors.data(), p.cols, p.k, p.k, {}},
      .biases = {p.biased ? biases.data() : nullptr, p.biased ? p.cols : 0, {}},
      .base = {p.implicit ? base.data() : nullptr, p.implicit ? p.k : 0, p.k, p.k, {}},
      .model = {.implicit = p.implicit, .alpha = 3, .ridge_exponent = 0.5f, .offset = 2},
      .add_ridge = p.add_ridge,
      .systems = {systems.data(), p.rows, m * m, m * m, {}},
      .rhs = {rhs.data(), p.rows, m, m, {}}};
  const std::string what = fmt::format("normal_equations {} x {}, k {}{}{}", p.rows, p.cols, p.k,
                                       p.implicit ? " implicit" : "", p.biased ? " biased" : "");
  std::vector<testing::ReferenceSystem> expected;
  const auto reference = [&](const NormalEquationsArgs& a) {
    for (std::int64_t u = 0; u < p.rows; ++u) {
      expected.push_back(testing::reference_system(a, u, p.add_ridge));
      for (std::int64_t c = 0; c < m; ++c) a.rhs(u, c) = static_cast<float>(expected.back().b[c]);
    }
  };
  const auto lower_triangles_agree = [&](const NormalEquationsArgs& a) {
    const auto host = testing::to_host(gpu, a.systems);
    for (std::int64_t u = 0; u < p.rows; ++u)
      for (std::int64_t r = 0; r < m; ++r)
        for (std::int64_t c = 0; c <= r; ++c) {
          const double want = expected[u].at(r, c);
          ASSERT_NEAR(host[(u * m + r) * m + c], want, 1e-3 + 1e-4 * std::abs(want))
              << what << ": system " << u << " [" << r << ", " << c << "]";
        }
  };
  testing::expect_device_matches(gpu, what, args, {1e-3, 1e-3}, normal_equations, reference,
                                 lower_triangles_agree);
}

const std::vector<std::int64_t> kSkewed{0, 1, 2, 3, 5, 90, 8, 13, 33, 40, 7, 1, 1, 2, 32, 31, 0, 9};

TEST(NormalEquationsCuda, EveryNumberOfFactors) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {1, 7, 16, 31, 32, 33, 64, 100, 128, 255, 256}) {
    check(*gpus[0], {.rows = 20, .cols = 120, .k = k, .lengths = kSkewed});
    check(*gpus[0], {.rows = 9, .cols = 120, .k = k, .lengths = kSkewed, .biased = true});
    check(*gpus[0], {.rows = 9, .cols = 120, .k = k, .lengths = kSkewed, .implicit = true});
  }
}

TEST(NormalEquationsCuda, RowsAndPartialSums) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257})
    check(*gpus[0], {.rows = rows,
                     .cols = 120,
                     .k = 12,
                     .lengths = kSkewed,
                     .biased = true,
                     .add_ridge = false});
  check(*gpus[0], {.rows = 10'000, .cols = 60, .k = 4, .lengths = {3, 0, 9, 1, 20}});
  check(*gpus[0], {.rows = 7, .cols = 6000, .k = 9, .lengths = {6000, 3, 1025, 1024, 0, 3000}});
}

}  // namespace
}  // namespace gradmill
