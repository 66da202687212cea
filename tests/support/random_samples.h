// Random samples of linear models for tests: sparse rows of chosen lengths.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "models/linear/samples.h"

namespace gradmill::testing {

struct SamplesShape {
  std::int64_t rows, features;
  std::vector<std::int64_t> lengths;  // of rows, in turn
  bool values = true, weights = false;
  int classes = 2;  // labels 0 .. classes - 1; 0: real numbers
  double skew =
      1;  // feature = features * u^skew, u uniform: 1 is even, 3 has few frequent features
};

inline Samples random_samples(const SamplesShape& shape, unsigned seed) {
  Samples s;
  s.num_features = shape.features;
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<double> uniform;
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    const std::int64_t length = std::min(
        shape.lengths[static_cast<std::size_t>(row) % shape.lengths.size()], shape.features);
    std::vector<std::int32_t> mine;
    if (2 * length >= shape.features)
      for (std::int32_t f = 0; f < length; ++f) mine.push_back(f);
    while (static_cast<std::int64_t>(mine.size()) < length) {
      while (static_cast<std::int64_t>(mine.size()) < length)
        mine.push_back(static_cast<std::int32_t>(static_cast<double>(shape.features) *
                                                 std::pow(uniform(rng), shape.skew)));
      std::sort(mine.begin(), mine.end());
      mine.erase(std::unique(mine.begin(), mine.end()), mine.end());
    }
    for (const std::int32_t f : mine) {
      s.indices.push_back(f);
      if (shape.values) s.values.push_back(normal(rng));
    }
    s.offsets.push_back(static_cast<std::int64_t>(s.indices.size()));
    s.labels.push_back(shape.classes
                           ? static_cast<float>(rng() % static_cast<unsigned>(shape.classes))
                           : normal(rng));
    if (shape.weights) s.weights.push_back(0.25f + static_cast<float>(rng() % 8) / 4);
  }
  return s;
}

}  // namespace gradmill::testing
