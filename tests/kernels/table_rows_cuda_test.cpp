#include <gtest/gtest.h>

#include "kernels/table_rows/table_rows.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {

TEST(TableRows, CudaTakesRowsOutAndPutsThemBack) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context cpu = Context::cpu(1);
  for (const std::int64_t count : {0, 1, 31, 32, 33, 257, 1000})
    for (const std::int64_t cols : {1, 3, 33})
      for (const bool back : {false, true}) {
        const std::int64_t stride = cols + 3, rows = 2 * count + 1;
        auto table = testing::random_values(rows * stride, 1);
        auto packed = testing::random_values(count * cols, 2);
        std::vector<std::int32_t> list;
        for (std::int64_t k = 0; k < count; ++k) list.push_back(static_cast<std::int32_t>(2 * k));
        testing::expect_device_matches(
            *gpus[0], "table_rows",
            TableRowsArgs{{table.data(), rows, cols, stride, {}},
                          {list.data(), count, {}},
                          {packed.data(), count, cols, cols, {}},
                          back},
            TableRowsArgs::tolerance, [](const auto& c, const auto& a) { table_rows(c, a); },
            [&](const auto& a) { table_rows(cpu, a); });
      }
}

}  // namespace
}  // namespace gradmill
