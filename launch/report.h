// report.html: one page that shows how a run went, without anything from the network.
#pragma once

#include <string>
#include <vector>

#include "launch/environment.h"
#include "launch/line_chart.h"
#include "launch/metrics_log.h"

namespace gradmill {

struct ReportTable {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // the first cell of each is its name
};

struct ReportData {
  std::string title;     // the run's name
  std::string subtitle;  // "mf-als, 2 ranks on cpu, finished 2026-…"
  Facts results;         // shown first and large: {"valid RMSE", "0.912"}, {"time", "00:12"}
  std::vector<MetricsRecord> metrics;
  std::vector<LineChart> charts;  // of the model, after those of the metrics
  std::vector<ReportTable> tables;
  std::vector<std::string> warnings;
  std::string config;  // TOML
  Facts environment;
};

/// Values whose names differ only in the prefix train_, valid_ or test_ share a chart.
std::string report_html(const ReportData& data);

}  // namespace gradmill
