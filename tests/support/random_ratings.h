// Random sparse ratings for tests: CSR with chosen row lengths, factors and weights.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "runtime/view.h"

namespace gradmill::testing {

struct RandomRatings {
  std::int64_t rows = 0, cols = 0;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> values;

  CsrView<const float> view() const {
    return {rows,
            cols,
            static_cast<std::int64_t>(indices.size()),
            offsets.data(),
            indices.data(),
            values.data(),
            {}};
  }
};

/// Row r gets lengths[r % lengths.size()] ratings (at most cols, distinct columns, ascending) in [1, 5].
inline RandomRatings random_ratings(std::int64_t rows, std::int64_t cols,
                                    const std::vector<std::int64_t>& lengths, unsigned seed) {
  RandomRatings r;
  r.rows = rows;
  r.cols = cols;
  std::mt19937 rng(seed);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t left = std::min(lengths[static_cast<std::size_t>(row) % lengths.size()], cols);
    for (std::int64_t c = 0; c < cols && left > 0; ++c) {
      if (static_cast<std::int64_t>(rng() % static_cast<unsigned>(cols - c)) >= left) continue;
      r.indices.push_back(static_cast<std::int32_t>(c));
      r.values.push_back(1.0f + static_cast<float>(rng() % 9) * 0.5f);
      --left;
    }
    r.offsets.push_back(static_cast<std::int64_t>(r.indices.size()));
  }
  return r;
}

inline std::vector<float> random_values(std::int64_t count, unsigned seed, float scale = 1.0f) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(rng);
  return values;
}

}  // namespace gradmill::testing
