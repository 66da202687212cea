// Ratings to measure with: skewed rows and columns, the same numbers on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/random.h"
#include "runtime/view.h"

namespace gradmill::bench {

struct Ratings {
  std::int64_t rows = 0, cols = 0;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> values;

  std::int64_t nnz() const { return static_cast<std::int64_t>(indices.size()); }
};

/// About `nnz` ratings (duplicates within a row are dropped). Row r's length falls off like
/// (r + 10)^-0.6, columns are drawn with density falling off like a power law, and both orders are
/// then scattered, since real ids do not come sorted by popularity.
inline Ratings skewed_ratings(std::int64_t rows, std::int64_t cols, std::int64_t nnz,
                              std::uint64_t seed) {
  const auto scatter = [](std::int64_t i, std::int64_t n, std::uint64_t key) {
    return static_cast<std::int64_t>(
        Permutation(static_cast<std::uint64_t>(n), key, 0)(static_cast<std::uint64_t>(i)));
  };
  double total = 0;
  for (std::int64_t r = 0; r < rows; ++r) total += std::pow(r + 10.0, -0.6);
  std::vector<std::int32_t> column(static_cast<std::size_t>(cols));
  for (std::int64_t c = 0; c < cols; ++c)
    column[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(scatter(c, cols, seed));

  Ratings ratings;
  ratings.rows = rows;
  ratings.cols = cols;
  std::uint64_t draw = 0;
  std::vector<std::int32_t> row;
  for (std::int64_t r = 0; r < rows; ++r) {
    const double share = std::pow(scatter(r, rows, seed + 1) + 10.0, -0.6) / total;
    const auto length =
        std::clamp<std::int64_t>(std::llround(share * static_cast<double>(nnz)), 1, cols);
    row.clear();
    for (std::int64_t i = 0; i < length; ++i) {
      const float u = to_unit(random_bits(seed, RandomStream::negative, draw++).x[0]);
      const auto c = static_cast<std::size_t>(u * u * static_cast<float>(cols));
      row.push_back(column[std::min(c, column.size() - 1)]);
    }
    std::sort(row.begin(), row.end());
    row.erase(std::unique(row.begin(), row.end()), row.end());
    for (const std::int32_t c : row) {
      ratings.indices.push_back(c);
      ratings.values.push_back(1.0f + static_cast<float>((c + r) % 5));
    }
    ratings.offsets.push_back(ratings.nnz());
  }
  return ratings;
}

}  // namespace gradmill::bench
