// A trained MLP without its optimizer.
#pragma once

#include <cstdint>
#include <vector>

#include "models/mlp/config.h"
#include "models/mlp/forward.h"
#include "models/mlp/samples.h"
#include "models/state_tensor.h"
#include "runtime/buffer.h"

namespace gradmill {

class MlpPredictor {
 public:
  /// All of state() is to be overwritten before the first prediction.
  MlpPredictor(const Context& ctx, const Context& host, const MlpConfig& config,
               const MlpShape& shape, std::int64_t num_features);
  /// The tensors of MlpSolver::model(), by the same names.
  std::vector<StateTensor> state();
  /// margins [N, outputs] in host memory.
  void predict(const Samples& samples, MatrixView<float> margins);
  std::int64_t outputs() const { return network_.architecture().outputs; }

 private:
  const Context& ctx_;
  const MlpColumns columns_;
  const std::int64_t dim_;  // of embeddings
  MlpNetwork network_;
  MlpBatchRing batches_;
  Buffer<float> embedding_, wide_, input_, margins_;
};

}  // namespace gradmill
