// An MLP on disk (a run's model/ or a checkpoint), and for prediction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/checkpoint.h"
#include "launch/config.h"
#include "launch/sample_inputs.h"
#include "models/metrics/link.h"
#include "models/mlp/predictor.h"

namespace gradmill {

/// Which inputs are dense and which are looked up, and how many outputs the loss needs. Columns of numbers are
/// dense; of sparse rows model.sparse_rows decides.
MlpShape mlp_shape(const MlpConfig& config, const SampleInputs& inputs);

/// Errors: ErrorKind::input_missing; checkpoint, also for a model of another kind.
Checkpoint open_mlp(const std::string& path);

/// A stored MLP.
struct MlpModel {
  /// path: a run's folder, its model/, or a checkpoint. Errors: as open_mlp.
  static MlpModel load(const Context& ctx, const Context& host, const std::string& path);

  SampleInputs inputs;
  Config config;
  CheckpointInfo info;
  MlpShape shape;
  Link link = Link::identity;
  std::unique_ptr<MlpPredictor> predictor;
};

}  // namespace gradmill
