// Sums over this rank's rows that do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "runtime/context.h"
#include "runtime/thread_pool.h"

namespace gradmill {

/// Calls add(row, sums) for every row, sums [width] starting at 0 in each fixed block of rows; returns
/// the blocks' sums added in order.
template <class Add>
std::vector<double> block_sums(const Context& host, std::int64_t rows, std::size_t width,
                               const Add& add) {
  constexpr std::int64_t kBlockRows = 4096;
  const std::int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  std::vector<double> parts(static_cast<std::size_t>(blocks) * width);
  host.threads().parallel_for(blocks, 1, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t block = first; block < last; ++block)
      for (std::int64_t row = block * kBlockRows; row < std::min(rows, (block + 1) * kBlockRows);
           ++row)
        add(row, parts.data() + static_cast<std::size_t>(block) * width);
  });
  std::vector<double> total(width);
  for (std::size_t i = 0; i < parts.size(); ++i) total[i % width] += parts[i];
  return total;
}

}  // namespace gradmill
