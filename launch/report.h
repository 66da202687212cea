// report.html: one page that shows how a run went, without anything from the network.
#pragma once

#include <string>
#include <vector>

#include "launch/environment.h"
#include "launch/metrics_log.h"

namespace gradmill {

struct ReportData {
  std::string title;     // the run's name
  std::string subtitle;  // "mf-als, 2 ranks on cpu, finished 2026-…"
  Facts results;         // shown first and large: {"valid RMSE", "0.912"}, {"time", "00:12"}
  std::vector<MetricsRecord> metrics;
  std::vector<std::string> warnings;
  std::string config;  // TOML
  Facts environment;
};

/// Values whose names differ only in the prefix train_, valid_ or test_ share a chart.
std::string report_html(const ReportData& data);

}  // namespace gradmill
