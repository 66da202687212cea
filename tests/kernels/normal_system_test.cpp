#include "kernels/normal_system/normal_system.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "kernels/normal_system/system_batch.h"
#include "kernels/simd.h"
#include "tests/support/als_problem.h"

namespace gradmill {
namespace {
using cpu::NormalSystem;

struct Free {
  void operator()(float* p) const { std::free(p); }
};
std::unique_ptr<float, Free> aligned_floats(std::int64_t count) {
  const auto bytes = static_cast<std::size_t>(simd::round_up(count, 16)) * sizeof(float);
  float* memory = static_cast<float*>(std::aligned_alloc(64, bytes));
  std::fill_n(memory, bytes / sizeof(float), std::nanf(""));  // nothing may count on zeros
  return std::unique_ptr<float, Free>(memory);
}

TEST(Simd, SumEachPutsTheSumOfVectorIInLaneI) {
  simd::Vec v[8];
  for (int i = 0; i < 8; ++i)
    for (int lane = 0; lane < simd::kLanes; ++lane) v[i][lane] = static_cast<float>(100 * i + lane);
  const simd::Vec8 sums = simd::sum_each(v);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(sums[i],
              static_cast<float>(simd::kLanes * (100 * i) + simd::kLanes * (simd::kLanes - 1) / 2));
}

TEST(Simd, RowStrideIsAnOddNumberOfCacheLines) {
  for (std::int64_t n = 1; n <= 300; ++n) {
    EXPECT_GE(simd::row_stride(n), n);
    EXPECT_EQ(simd::row_stride(n) % 32, 16);
  }
}

TEST(NormalSystem, SumsAndSolvesLikeTheReference) {
  for (const std::int64_t size : testing::kFactorCounts) {
    const auto memory = aligned_floats(NormalSystem::memory_floats(size));
    NormalSystem system(size, memory.get());
    const std::int64_t stride = system.stride(), count = 37;
    std::vector<float> panel(static_cast<std::size_t>(count * stride), 0.0f);
    const auto weights = testing::random_values(count, 51);
    const auto values = testing::random_values(count * size, 52);
    testing::ReferenceSystem want{size, std::vector<double>(static_cast<std::size_t>(size * size)),
                                  std::vector<double>(static_cast<std::size_t>(size))};
    for (std::int64_t e = 0; e < count; ++e)
      for (std::int64_t r = 0; r < size; ++r) {
        const float y = values[static_cast<std::size_t>(e * size + r)];
        panel[static_cast<std::size_t>(e * stride + r)] = y;
        want.b[static_cast<std::size_t>(r)] +=
            static_cast<double>(weights[static_cast<std::size_t>(e)]) * y;
        for (std::int64_t c = 0; c < size; ++c)
          want.at(r, c) += 0.5 * y * values[static_cast<std::size_t>(e * size + c)];
      }
    system.add_products(panel.data(), panel.data(), count, 0.5f);
    system.settle();
    system.add_rows(panel.data(), weights.data(), count);
    system.add_diagonal(3.0f);
    for (std::int64_t r = 0; r < size; ++r) want.at(r, r) += 3.0;
    for (std::int64_t r = 0; r < size; ++r)
      for (std::int64_t c = r; c < size; ++c)
        ASSERT_NEAR(system.row(r)[c], want.at(r, c), 2e-4) << size << ": " << r << ", " << c;
    ASSERT_TRUE(system.solve());
    const auto x = testing::reference_solve(want);
    for (std::int64_t r = 0; r < size; ++r)
      ASSERT_NEAR(system.solution()[r], x[static_cast<std::size_t>(r)], 1e-3) << "size " << size;
    system.clear();  // what solve() left behind is gone
    system.add_diagonal(-1.0f);
    EXPECT_FALSE(system.solve()) << "size " << size;
  }
}

/// A + 3 I from 37 random rows, and a right-hand side.
void fill(NormalSystem& system, std::uint64_t seed) {
  constexpr std::int64_t kCount = 37;
  const std::int64_t size = system.size(), stride = system.stride();
  std::vector<float> panel(static_cast<std::size_t>(kCount * stride), 0.0f);
  const auto values = testing::random_values(kCount * size, seed);
  for (std::int64_t e = 0; e < kCount; ++e)
    std::copy_n(values.data() + e * size, size, panel.data() + e * stride);
  system.clear();
  system.add_products(panel.data(), panel.data(), kCount, 1);
  system.settle();
  system.add_diagonal(3);
  std::copy_n(values.data(), size, system.rhs());
}

TEST(SystemBatch, SolvesEachSystemAsAloneWhateverItsLane) {
  for (const std::int64_t size : testing::kFactorCounts) {
    const auto batch_memory = aligned_floats(cpu::SystemBatch::memory_floats(size));
    const auto memory = aligned_floats(NormalSystem::memory_floats(size));
    cpu::SystemBatch batch(size, batch_memory.get());
    constexpr std::int64_t kRows = 2 * simd::kLanes + 5;
    constexpr std::int64_t kBad = 3;  // not positive definite
    std::vector<std::vector<float>> found(kRows);
    NormalSystem system(size, memory.get());
    for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}}) {
      const cpu::SystemBatch::Finish finish = [&](std::int64_t row, const float* solution) {
        ASSERT_EQ(solution == nullptr, row == kBad) << "size " << size << " row " << row;
        if (!solution) return;
        std::vector<float> x(solution, solution + size);
        auto& first = found[static_cast<std::size_t>(row)];
        if (start == 1 && row >= start) {
          ASSERT_EQ(x, first) << "in another lane";
        }
        first = x;
      };
      for (std::int64_t row = start; row < kRows; ++row) {
        fill(system, 60 + static_cast<std::uint64_t>(row));
        if (row == kBad) system.add_diagonal(-1e4f);
        batch.add(row, system, finish);
      }
      batch.flush(finish);
      batch.flush(finish);  // nothing waits any more
    }
    for (std::int64_t row = 0; row < kRows; ++row) {
      if (row == kBad) continue;
      fill(system, 60 + static_cast<std::uint64_t>(row));
      ASSERT_TRUE(system.solve());
      for (std::int64_t c = 0; c < size; ++c)
        ASSERT_NEAR(found[static_cast<std::size_t>(row)][static_cast<std::size_t>(c)],
                    system.solution()[c], 1e-4)
            << "size " << size << " row " << row;
    }
  }
}

}  // namespace
}  // namespace gradmill
