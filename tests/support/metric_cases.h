// Scored samples and slow, obvious versions of the metrics.
#pragma once

#include <cmath>
#include <vector>

#include "models/metrics/metrics.h"
#include "runtime/random.h"

namespace gradmill::testing {

struct ScoredCase {
  std::int64_t classes = 2, outputs = 1;
  std::vector<float> margins, labels, weights;
  std::int64_t rows() const { return static_cast<std::int64_t>(labels.size()); }
  Scored rows_of(std::int64_t first, std::int64_t count) const {
    return {{margins.data() + first * outputs, count, outputs, outputs, {}},
            {labels.data() + first, count, {}},
            {weights.data() + first, count, {}}};
  }
};

/// steps: distinct margins, so that many scores are tied.
inline ScoredCase scored_case(std::int64_t rows, std::int64_t classes, int steps,
                              std::uint64_t seed) {
  ScoredCase c{classes, classes == 2 ? 1 : classes, {}, {}, {}};
  for (std::int64_t row = 0; row < rows; ++row) {
    const Philox4 bits = random_bits(seed, RandomStream::split, static_cast<std::uint64_t>(row));
    c.labels.push_back(static_cast<float>(bits.x[0] % static_cast<std::uint32_t>(classes)));
    c.weights.push_back(static_cast<float>(bits.x[1] % 4));  // 0 too
    for (std::int64_t k = 0; k < c.outputs; ++k) {
      const Philox4 draw =
          random_bits(seed, RandomStream::negative, static_cast<std::uint64_t>(row),
                      static_cast<std::uint32_t>(k));
      const float noise = static_cast<float>(draw.x[0] % static_cast<std::uint32_t>(steps)) / 4.0f;
      c.margins.push_back(noise - static_cast<float>(steps) / 8.0f +
                          (classes == 2 ? c.labels.back() : c.labels.back() == float(k)));
    }
  }
  return c;
}

/// Every pair of a positive and a negative sample.
inline double slow_auc(const ScoredCase& c) {
  double right = 0, pairs = 0;
  for (std::size_t i = 0; i < c.labels.size(); ++i)
    for (std::size_t j = 0; j < c.labels.size(); ++j) {
      if (!(c.labels[i] > 0) || c.labels[j] > 0) continue;
      const double w = double{c.weights[i]} * c.weights[j];
      pairs += w;
      right += c.margins[i] > c.margins[j] ? w : c.margins[i] == c.margins[j] ? w / 2 : 0;
    }
  return right / pairs;
}

/// For every sample that is positive: the precision among the samples that score at least as high.
inline double slow_average_precision(const ScoredCase& c) {
  double sum = 0, positive = 0;
  for (std::size_t i = 0; i < c.labels.size(); ++i) {
    if (!(c.labels[i] > 0)) continue;
    double above = 0, right = 0;
    for (std::size_t j = 0; j < c.labels.size(); ++j)
      if (c.margins[j] >= c.margins[i]) {
        above += c.weights[j];
        right += c.labels[j] > 0 ? c.weights[j] : 0;
      }
    if (c.weights[i] > 0) sum += c.weights[i] * right / above;
    positive += c.weights[i];
  }
  return sum / positive;
}

}  // namespace gradmill::testing
