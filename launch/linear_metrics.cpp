#include "launch/linear_metrics.h"

#include <cmath>

namespace gradmill {

LinearMetrics linear_metrics(const Context& host, Communicator& comm, Link link, int num_classes,
                             const LinearParameters& parameters, Scorer& scorer) {
  const std::vector<float> margins = scorer.margins(parameters);
  const std::int64_t outputs = parameters.coefficients.rows;
  const Scored scored{
      {margins.data(), scorer.rows(), outputs, outputs, {}}, scorer.labels(), scorer.weights()};
  LinearMetrics result;
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

}  // namespace gradmill
