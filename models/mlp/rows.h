// This rank's samples as an MLP reads them, and the batches that are cut from them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/embedding/embedding.h"
#include "models/mlp/samples.h"

namespace gradmill {

/// Where the features of Samples go: numeric ones are columns of a dense matrix, categorical ones rows of one
/// embedding table, field after field.
struct MlpColumns {
  /// Errors: internal, if the fields do not cover num_features features, ascending.
  MlpColumns(const MlpShape& shape, std::int64_t num_features);
  std::int64_t dense = 0, fields = 0, categories = 0, most_categories = 0;
  std::vector<std::int32_t> places;     // [features] dense column or table row
  std::vector<std::int32_t> fields_of;  // [features] categorical field, or -1: dense
};

/// Samples in host memory, dense columns and bags of table rows apart.
struct MlpRows {
  MlpRows(const MlpColumns& columns, const Samples& samples);
  std::int64_t rows = 0, dense_columns = 0, fields = 0;
  std::vector<float> dense;            // [rows, dense_columns]
  bool one_each = true;                // each bag has one entry of weight 1, or is empty (id -1)
  std::vector<std::int64_t> offsets;   // [rows fields + 1], unless one_each
  std::vector<std::int32_t> ids;       // [rows fields] or [entries]
  std::vector<float> entry_weights;    // [entries], or empty: all 1
  std::vector<float> labels, weights;  // [rows]; weights empty: all 1
};

/// A batch on the device.
struct MlpBatch {
  std::int64_t rows = 0;
  MatrixView<const float> dense;  // [rows, dense columns]
  EmbeddingBags bags;             // one a sample and field
  EmbeddingBags wide_bags;        // one a sample: all its entries
  VectorView<const float> labels, weights;
  VectorView<const std::int32_t> positions;  // in the global batch
  VectorView<const double> input;            // StepInput
  std::int64_t slot = 0;                     // of the ring: where it lies
};

}  // namespace gradmill
