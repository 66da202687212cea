// Numbers of mini-batch steps: the optimizer's, learning rates by step, and their defaults by the data.
#pragma once

#include <vector>

#include "dist/communicator.h"
#include "kernels/losses.h"
#include "kernels/optimizers.h"
#include "models/linear/config.h"
#include "models/linear/samples.h"

namespace gradmill {

OptimizerKind optimizer_kind(const std::string& name);

/// Of step `step` (from 0, over all epochs) with this learning rate.
OptimizerStep step_numbers(const LinearConfig& config, std::int64_t step, double rate);

/// Learning rates of an epoch's steps, and their sums before each step, [steps + 1].
struct EpochRates {
  std::vector<double> rates;
  std::vector<float> cumulative;
};
EpochRates epoch_rates(const LinearConfig& config, std::int64_t epoch, std::int64_t steps);

/// The configuration with what is to follow from the data, where learning_rate or ftrl_beta is negative.
/// With r = the root mean square of the entries that are not 0, in up to 4,096 samples of each rank:
///   adagrad, ftrl  learning_rate 0.12 / r, 0.2 / r: a coefficient's first steps have that size, and move
///                  scores by as much whatever the features' scale
///   adam, adamw    learning_rate 0.01 / r
///   sgd            learning_rate 1 / (2 b E|m|^2), m the mean of a batch's rows, b a bound of the loss's
///                  curvature: half of what diverges on a batch for which curvature and mean are so. E|m|^2 =
///                  |E x|^2 + (E|x|^2 - |E x|^2) / global_batch.
///   ftrl           ftrl_beta r, the size of a sample's gradient
/// Collective; the same on every rank.
LinearConfig with_data_defaults(const Context& host, Communicator& comm, LinearConfig config,
                                const Loss& loss, const Samples& mine);

}  // namespace gradmill
