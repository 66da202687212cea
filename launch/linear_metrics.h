// The metrics of a linear model, by the names that logs, `evaluate` and train.metric have.
#pragma once

#include "launch/trainee.h"
#include "models/linear/scorer.h"
#include "models/metrics/metrics.h"

namespace gradmill {

struct LinearMetrics {
  Metrics values;  // what is defined: accuracy, log_loss, auc, pr_auc, f1; or rmse, mae, r2
  std::vector<CalibrationBin> calibration;  // of two classes with probabilities
  std::vector<double> confusion;            // [C, C], of up to 64 classes
};

/// Collective, over all ranks' samples. num_classes 0: a regression.
LinearMetrics linear_metrics(const Context& host, Communicator& comm, Link link, int num_classes,
                             const LinearParameters& parameters, Scorer& scorer);

}  // namespace gradmill
