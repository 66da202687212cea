// Samples as the linear solvers hold them.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/sample_matrix.h"
#include "runtime/buffer.h"

namespace gradmill {

/// This rank's samples in host memory, sparse rows. labels: values of a regression, or classes 0 .. C - 1.
struct Samples {
  std::vector<std::int64_t> offsets{0};  // [rows + 1]
  std::vector<std::int32_t> indices;
  std::vector<float> values;  // [nnz], or empty: all 1
  std::vector<float> labels;
  std::vector<float> weights;     // [rows] or empty: all 1
  std::int64_t num_features = 0;  // the same on every rank
  std::int64_t rows() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

}  // namespace gradmill
