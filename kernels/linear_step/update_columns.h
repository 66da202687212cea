// The optimizer's half of linear_batch_update on the CPU.
#pragma once

#include "kernels/linear_step/linear_step.h"

namespace gradmill {

/// The number of columns of a batch, and the k-th.
struct ColumnList {
  const std::int32_t* columns;
  std::int64_t size;
  ColumnList(const BatchColumns& batch, const SampleMatrix& matrix, bool intercept)
      : columns(batch.columns.data),
        size(matrix.is_dense() ? matrix.features() + intercept : batch.columns.size) {}
  std::int64_t operator[](std::int64_t k) const { return columns ? columns[k] : k; }
};

/// Updates columns [first, last) with the packed gradient if there is one, else with the accumulator's
/// sums, which it clears.
void update_columns(const LinearBatchUpdateArgs& args, const ColumnList& columns);

}  // namespace gradmill
