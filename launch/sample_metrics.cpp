#include "launch/sample_metrics.h"

#include <cmath>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::size_t kMostTableClasses = 30;
}

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
  result.curve = m.curve;
  result.confusion = m.confusion;
  return result;
}

void add_to_report(const SampleMetrics& metrics, const std::vector<std::string>& classes,
                   ReportData& report) {
  const std::string of_held_out = " of held-out samples";
  const ChartSeries even{"", {{0, 0}, {1, 1}}};
  if (!metrics.curve.empty()) {
    LineChart roc{"ROC" + of_held_out, "fall-out (share of " + classes.at(0) + ")", {}, false};
    LineChart recall{
        "Precision" + of_held_out, "recall (share of " + classes.at(1) + ")", {}, false};
    ChartSeries recalls{"recall", {}}, precisions{"precision", {}};
    for (const CurvePoint& p : metrics.curve) {
      recalls.points.emplace_back(p.fall_out, p.recall);
      precisions.points.emplace_back(p.recall, p.precision);
    }
    roc.series = {std::move(recalls), even};
    roc.series[1].name = "chance";
    recall.series = {std::move(precisions)};
    report.charts.push_back(std::move(roc));
    report.charts.push_back(std::move(recall));
  }
  ChartSeries observed{"observed", {}};
  for (const CalibrationBin& bin : metrics.calibration)
    if (bin.weight > 0) observed.points.emplace_back(bin.predicted, bin.observed);
  if (!observed.points.empty()) {
    LineChart chart{"Calibration" + of_held_out,
                    "predicted probability of " + classes.at(1),
                    {std::move(observed), even},
                    false};
    chart.series[1].name = "calibrated";
    report.charts.push_back(std::move(chart));
  }
  if (metrics.confusion.empty() || classes.size() > kMostTableClasses) return;
  ReportTable table{"Confusion" + of_held_out + ": true class by predicted class", {""}, {}};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    table.header.push_back(classes[c]);
    auto& row = table.rows.emplace_back(1, classes[c]);
    for (std::size_t p = 0; p < classes.size(); ++p)
      row.push_back(fmt::format("{:g}", metrics.confusion[c * classes.size() + p]));
  }
  report.tables.push_back(std::move(table));
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
