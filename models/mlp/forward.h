// From samples to margins with given parameters: the part that training and prediction share.
#pragma once

#include "models/mlp/batch_ring.h"
#include "models/mlp/network.h"

namespace gradmill {

/// Of embeddings [categories, K] and of the wide part [categories, outputs]; empty where a model has none.
struct MlpTables {
  MatrixView<const float> embedding, wide;
};

/// Rows of a pass of predictions.
inline constexpr std::int64_t kPredictRows = 1024;

/// x_0 of a batch: its dense columns, what its bags give and the interaction of those, in `input` [B, inputs]; without
/// embeddings the batch's own dense matrix. margins [B, outputs] = what the wide part's bags give, if there is a wide table.
MatrixView<const float> mlp_input(const Context& ctx, const MlpBatch& batch, MlpNetwork& network,
                                  VectorView<float> parameters, const MlpTables& tables,
                                  MatrixView<float> input, MatrixView<float> margins);

/// Memory of predictions on the device, kPredictRows of each.
struct MlpPredictSpace {
  VectorView<float> input, margins;
};

/// margins [N, outputs], in host memory, of all rows: dropout off. Waits for the device.
void mlp_predict(const Context& ctx, MlpBatchRing& batches, MlpNetwork& network,
                 VectorView<float> parameters, const MlpTables& tables,
                 const MlpPredictSpace& space, const MlpRows& rows, MatrixView<float> margins);

}  // namespace gradmill
