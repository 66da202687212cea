// Some rows of a problem: a rank's share.
#pragma once

#include "models/linear/samples.h"

namespace gradmill::testing {

/// Rows for which keep(row) holds.
template <class Keep>
Samples part_of(const Samples& all, Keep&& keep) {
  Samples s;
  s.num_features = all.num_features;
  for (std::int64_t r = 0; r < all.rows(); ++r) {
    const auto row = static_cast<std::size_t>(r);
    if (!keep(r)) continue;
    const auto first = static_cast<std::ptrdiff_t>(all.offsets[row]),
               last = static_cast<std::ptrdiff_t>(all.offsets[row + 1]);
    s.indices.insert(s.indices.end(), all.indices.begin() + first, all.indices.begin() + last);
    s.values.insert(s.values.end(), all.values.begin() + first, all.values.begin() + last);
    s.offsets.push_back(static_cast<std::int64_t>(s.indices.size()));
    s.labels.push_back(all.labels[row]);
    if (!all.weights.empty()) s.weights.push_back(all.weights[row]);
  }
  return s;
}

}  // namespace gradmill::testing
