// evaluate and predict for every model that gives each sample of a file a score for each output.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dist/world.h"
#include "launch/options.h"
#include "launch/sample_inputs.h"
#include "models/metrics/link.h"
#include "runtime/log.h"

namespace gradmill {

/// A stored model, ready to predict.
struct SamplePredictor {
  SampleInputs inputs;
  Config config;
  Link link = Link::identity;
  std::int64_t outputs = 1;
  /// Raw scores [N, outputs] in host memory, of samples that have no features beyond the inputs'.
  std::function<std::vector<float>(Samples)> margins;
};

/// The contexts outlive the predictor. Errors: as Checkpoint::open; ErrorKind::checkpoint for another kind of model.
using PredictorLoader = SamplePredictor (*)(const Context& ctx, const Context& host,
                                            const std::string& path);

int evaluate_samples(const Options& options, World& world, Log& log, PredictorLoader load);
int predict_samples(const Options& options, World& world, Log& log, PredictorLoader load);

}  // namespace gradmill
