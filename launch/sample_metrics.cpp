#include "launch/sample_metrics.h"

#include <cmath>

#include "runtime/expect.h"

namespace gradmill {

SampleMetrics sample_metrics(const Context& host, Communicator& comm, Link link, int num_classes,
                             const Scored& scored) {
  SampleMetrics result;
  const auto add = [&](const char* name, double value) {
    if (!std::isnan(value)) result.values.emplace_back(name, value);
  };
  if (num_classes == 0) {
    const RegressionMetrics m = regression_metrics(host, comm, link, scored);
    add("rmse", m.rmse);
    add("mae", m.mae);
    add("r2", m.r2);
    return result;
  }
  const ClassificationMetrics m = classification_metrics(host, comm, link, num_classes, scored);
  add("accuracy", m.accuracy);
  add("log_loss", m.log_loss);
  add("auc", m.auc);
  add("pr_auc", m.pr_auc);
  add("f1", m.f1);
  if (num_classes == 2 && link != Link::none)
    result.calibration.assign(m.calibration.begin(), m.calibration.end());
  result.confusion = m.confusion;
  return result;
}

DecidingMetric deciding_sample_metric(const std::string& metric, Link link, int num_classes) {
  if (metric == "none") return {};
  const bool regression = num_classes == 0;
  const std::string name = metric != "auto"     ? metric
                           : regression         ? "rmse"
                           : link == Link::none ? "accuracy"
                                                : "log_loss";
  const bool of_values = name == "rmse" || name == "mae" || name == "r2";
  expect(of_values == regression, ErrorKind::usage,
         "train.metric is \"{}\", which is not a metric of a {}", name,
         regression ? "regression" : "classification");
  return {name, name == "rmse" || name == "mae" || name == "log_loss"};
}

}  // namespace gradmill
