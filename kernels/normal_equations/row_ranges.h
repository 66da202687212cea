// Rows of ratings cut into ranges of about the same work.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "runtime/view.h"

namespace gradmill::cpu {

/// Boundaries of ranges of rows, from 0 to ratings.rows, a few for each thread. A row costs its
/// entries and a constant.
inline std::vector<std::int64_t> row_ranges(const CsrView<const float>& ratings,
                                            std::int64_t row_cost, int threads) {
  constexpr std::int64_t kRangesPerThread = 32;
  const std::int64_t total =
      ratings.offsets[ratings.rows] - ratings.offsets[0] + ratings.rows * row_cost;
  const std::int64_t goal =
      threads == 1 ? total : std::max<std::int64_t>(1, total / (threads * kRangesPerThread));
  std::vector<std::int64_t> ranges{0};
  std::int64_t work = 0;
  for (std::int64_t row = 0; row < ratings.rows; ++row) {
    work += ratings.offsets[row + 1] - ratings.offsets[row] + row_cost;
    if (work < goal && row + 1 < ratings.rows) continue;
    ranges.push_back(row + 1);
    work = 0;
  }
  return ranges;
}

}  // namespace gradmill::cpu
