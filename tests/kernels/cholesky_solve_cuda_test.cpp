#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cholesky_solve/cholesky_solve.h"
#include "tests/support/als_reference.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {

/// Random positive definite systems of which every seventh is not; NaN above the diagonals.
struct Systems {
  std::int64_t rows, k;
  std::vector<float> a, b;
  std::vector<testing::ReferenceSystem> exact;

  Systems(std::int64_t rows, std::int64_t k) : rows(rows), k(k) {
    const auto values = testing::random_values(rows * k * k, 1);
    b = testing::random_values(rows * k, 2);
    a.assign(static_cast<std::size_t>(rows * k * k), std::numeric_limits<float>::quiet_NaN());
    for (std::int64_t u = 0; u < rows; ++u) {
      testing::ReferenceSystem s{k, std::vector<double>(static_cast<std::size_t>(k * k)), {}};
      for (std::int64_t r = 0; r < k; ++r) {
        s.b.push_back(b[static_cast<std::size_t>(u * k + r)]);
        for (std::int64_t c = 0; c <= r; ++c) {
          float v = values[static_cast<std::size_t>((u * k + r) * k + c)];
          if (r == c) v = static_cast<float>(k) * 1.5f + std::abs(v);
          if (u % 7 == 6 && r == c && r == k - 1) v = -1;
          a[static_cast<std::size_t>((u * k + r) * k + c)] = v;
          s.at(r, c) = s.at(c, r) = v;
        }
      }
      exact.push_back(std::move(s));
    }
  }
};

void check(const Context& gpu, std::int64_t rows, std::int64_t k) {
  Systems s(rows, k);
  const std::int64_t stride = k + 2;
  std::vector<float> solutions(static_cast<std::size_t>(rows * stride), 9.0f);
  std::vector<std::int32_t> failures(1, 3);
  const CholeskySolveArgs args{.systems = {s.a.data(), rows, k * k, k * k, {}},
                               .rhs = {s.b.data(), rows, k, k, {}},
                               .solutions = {solutions.data(), rows, k, stride, {}},
                               .failures = {failures.data(), 1, {}}};
  testing::expect_device_matches(
      gpu, fmt::format("cholesky_solve {} systems of {}", rows, k), args, {1e-3, 1e-4},
      cholesky_solve, [&](const CholeskySolveArgs& a) {
        for (std::int64_t u = 0; u < rows; ++u) {
          const auto x = testing::reference_solve(s.exact[static_cast<std::size_t>(u)]);
          failures[0] += x.empty();
          for (std::int64_t c = 0; c < k; ++c)
            a.solutions(u, c) = x.empty() ? 0 : static_cast<float>(x[static_cast<std::size_t>(c)]);
        }
      });
}

TEST(CholeskySolveCuda, EverySize) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {1, 2, 7, 8, 9, 16, 31, 32, 33, 64, 65, 100, 128, 255, 256, 257})
    check(*gpus[0], k < 100 ? 23 : 8, k);
}

TEST(CholeskySolveCuda, EveryNumberOfSystems) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257}) check(*gpus[0], rows, 17);
  check(*gpus[0], 10'000, 5);
}

}  // namespace
}  // namespace gradmill
