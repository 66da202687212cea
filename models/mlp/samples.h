// Samples as an MLP reads them: dense columns and bags of ids.
#pragma once

#include <cstdint>
#include <vector>

#include "models/linear/samples.h"

namespace gradmill {

/// A run of features of Samples that belong together: one numeric column, or one categorical or text column.
struct FeatureField {
  std::int64_t first = 0, count = 1;
  bool categorical = false;  // looked up in the embedding table; else a dense input
};

/// An MLP trains on the same sparse rows as a linear model: a numeric feature's value is a dense input, a feature of
/// a categorical field is a row of the embedding table, its value the weight in the bag.
struct MlpShape {
  std::vector<FeatureField> fields;  // ascending, covering all features
  int outputs = 1;
  int num_classes = 0;  // 0: regression
};

}  // namespace gradmill
