// Losses of a group of samples from their raw scores, on the CPU.
#pragma once

#include <cstdint>

#include "kernels/losses.h"
#include "runtime/view.h"

namespace gradmill {

struct RowLosses {
  Loss loss;
  std::int64_t outputs = 1;
  const float* intercepts = nullptr;  // [C] added to the scores, or nullptr
  VectorView<const float> labels, weights;
  float scale = 1;  // of slopes

  /// For samples first .. first + count with scores[r, c] (stride floats a row; table_stride(C)):
  /// slopes[r, c] (zero beyond C), if asked for curvatures[r, c] and the sample's losses values[r],
  /// as in LinearGradientArgs; slopes and values are those of LinearBatchSlopesArgs. Returns the sum of losses.
  double evaluate(std::int64_t first, std::int64_t count, std::int64_t stride, const float* scores,
                  float* slopes, float* curvatures, float* values) const;
};

}  // namespace gradmill
