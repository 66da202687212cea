#include "models/mlp/predictor.h"

#include "models/mlp/architecture.h"

namespace gradmill {

MlpPredictor::MlpPredictor(const Context& ctx, const Context& host, const MlpConfig& config,
                           const MlpShape& shape, std::int64_t num_features)
    : ctx_(ctx),
      columns_(shape, num_features),
      dim_(embedding_dim(config, columns_)),
      network_(ctx, mlp_architecture(config, shape, columns_), 0, kPredictRows),
      batches_(ctx, host, config.bag == "mean", config.wide),
      embedding_(ctx, columns_.categories * dim_),
      wide_(ctx, config.wide ? columns_.categories * outputs() : 0),
      input_(ctx, kPredictRows * network_.architecture().inputs),
      margins_(ctx, kPredictRows * outputs()) {}

std::vector<StateTensor> MlpPredictor::state() {
  std::vector<StateTensor> tensors = network_.parameters().state();
  network_.add_statistics(tensors);
  if (!embedding_.empty())
    tensors.push_back(
        StateTensor::whole("embedding", embedding_.matrix(columns_.categories, dim_, dim_)));
  if (!wide_.empty())
    tensors.push_back(StateTensor::whole("wide.embedding",
                                         wide_.matrix(columns_.categories, outputs(), outputs())));
  return tensors;
}

void MlpPredictor::predict(const Samples& samples, MatrixView<float> margins) {
  MlpTables tables;
  if (!embedding_.empty()) tables.embedding = embedding_.matrix(columns_.categories, dim_, dim_);
  if (!wide_.empty()) tables.wide = wide_.matrix(columns_.categories, outputs(), outputs());
  mlp_predict(ctx_, batches_, network_, network_.parameters().values(), tables,
              {input_.view(), margins_.view()}, MlpRows(columns_, samples), margins);
}

}  // namespace gradmill
