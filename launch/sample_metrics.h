// The metrics of predicted classes and values, by the names that logs, `evaluate` and train.metric have.
#pragma once

#include "launch/trainee.h"
#include "models/metrics/metrics.h"

namespace gradmill {

struct SampleMetrics {
  Metrics values;  // what is defined: accuracy, log_loss, auc, pr_auc, f1; or rmse, mae, r2
  std::vector<CalibrationBin> calibration;  // of two classes with probabilities
  std::vector<CurvePoint> curve;            // of two classes
  std::vector<double> confusion;            // [C, C], of up to 64 classes
};

/// Curves and confusion table of the held-out samples as charts and tables of a run's report. classes: their names.
void add_to_report(const SampleMetrics& metrics, const std::vector<std::string>& classes,
                   ReportData& report);

/// Collective, over all ranks' samples. num_classes 0: a regression.
SampleMetrics sample_metrics(const Context& host, Communicator& comm, Link link, int num_classes,
                             const Scored& scored);

/// What train.metric means for these samples. "auto": rmse, log_loss, or accuracy where scores are no
/// probabilities. Errors: ErrorKind::usage for a metric of the other kind.
DecidingMetric deciding_sample_metric(const std::string& metric, Link link, int num_classes);

}  // namespace gradmill
