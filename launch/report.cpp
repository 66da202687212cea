#include "launch/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <set>

#include "launch/line_chart.h"

namespace gradmill {
namespace {

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1b1f27; --soft: #626b7a; --line: #e1e5eb;
  --c0: #2563c9; --c1: #d0581d; --c2: #1f8a57; --c3: #7d4fc4; --c4: #b8336a; --c5: #5f6b7c; --warn: #fff4dc; }
@media (prefers-color-scheme: dark) { :root { --page: #12151a; --card: #1b2028; --text: #e7eaef; --soft: #98a2b3;
  --line: #2d3540; --c0: #6ea8ff; --c1: #ff9a5c; --c2: #56cf94; --c3: #b795f5; --c4: #ff7fae; --c5: #a9b4c4; --warn: #3a3018; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 20px 48px; max-width: 1120px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 26px; letter-spacing: -0.01em; }
h2 { margin: 0 0 10px; font-size: 16px; }
header p { margin: 4px 0 20px; color: var(--soft); }
.tiles, .charts { display: grid; gap: 16px; margin-bottom: 16px; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; margin: 0; }
section.card, details.card { margin-bottom: 16px; }
.tile span { display: block; color: var(--soft); font-size: 13px; }
.tile b { font-size: 22px; white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
.warnings { background: var(--warn); }
.warnings ul { margin: 0; padding-left: 20px; }
.legend { float: right; font-size: 13px; color: var(--soft); font-weight: 400; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin: 0 6px 3px 14px; }
svg { width: 100%; height: auto; display: block; }
.grid { stroke: var(--line); } .base, .tick { stroke: var(--soft); }
.axis { fill: var(--soft); font-size: 14px; font-variant-numeric: tabular-nums; }
.series path { fill: none; stroke-width: 2; stroke-linejoin: round; stroke: currentColor; }
.series circle { fill: currentColor; } .series .hit { fill-opacity: 0; } .dot:hover .hit { fill-opacity: 0.25; }
.s0 { color: var(--c0); } .s1 { color: var(--c1); } .s2 { color: var(--c2); }
.s3 { color: var(--c3); } .s4 { color: var(--c4); } .s5 { color: var(--c5); }
.legend .s0, .legend .s1, .legend .s2, .legend .s3, .legend .s4, .legend .s5 { background: currentColor; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 16px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
td.n, th.n { text-align: right; }
summary { cursor: pointer; font-weight: 600; font-size: 16px; }
details[open] summary { margin-bottom: 10px; }
pre { margin: 0; overflow-x: auto; font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { color: var(--soft); font-size: 13px; }
</style>
)";

constexpr std::array<std::string_view, 3> kSplits{"train_", "valid_", "test_"};

std::string base_name(const std::string& name) {
  for (const std::string_view split : kSplits) {
    if (name.starts_with(split) && name.size() > split.size()) return name.substr(split.size());
  }
  return name;
}

/// "rmse" -> "RMSE", "ndcg@10" -> "NDCG@10", "ratings_per_second" -> "Ratings per second".
std::string display_name(const std::string& name) {
  static constexpr std::array<std::string_view, 6> kAcronyms{"rmse", "mae", "ndcg",
                                                             "map",  "auc", "mse"};
  std::string text = name;
  std::replace(text.begin(), text.end(), '_', ' ');
  const std::string_view word = std::string_view(text).substr(0, text.find_first_of("@ "));
  const bool acronym = std::find(kAcronyms.begin(), kAcronyms.end(), word) != kAcronyms.end();
  const std::size_t upper = acronym ? word.size() : std::min<std::size_t>(1, text.size());
  for (std::size_t i = 0; i < upper; ++i)
    text[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[i])));
  return text;
}

std::string series_name(const std::string& name) {
  const std::string base = base_name(name);
  if (base.size() == name.size()) return display_name(name);
  return name.substr(0, name.size() - base.size() - 1);
}

bool lower_is_better(const std::string& base) {
  for (const char* word : {"rmse", "mae", "mse", "loss", "error", "seconds"}) {
    if (base.find(word) != std::string::npos) return true;
  }
  return false;
}

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

/// One curve a value, in the order of first appearance, those of speed last. x is the epoch where no epoch has two records.
std::vector<Curve> curves_of(const std::vector<MetricsRecord>& metrics, bool by_step) {
  std::vector<Curve> curves;
  for (const MetricsRecord& record : metrics) {
    for (const auto& [name, value] : record.values) {
      auto at = std::find_if(curves.begin(), curves.end(),
                             [&](const Curve& c) { return c.name == name; });
      if (at == curves.end()) at = curves.insert(curves.end(), Curve{name, {}});
      at->points.emplace_back(static_cast<double>(by_step ? record.step : record.epoch), value);
    }
  }
  std::stable_partition(curves.begin(), curves.end(), [](const Curve& curve) {
    return curve.name.find("second") == std::string::npos;
  });
  return curves;
}

std::string chart_cards(const std::vector<LineChart>& charts) {
  std::string html = "<div class=\"charts\">\n";
  for (const LineChart& chart : charts) {
    html += "<figure class=\"card\"><h2>" + html_escape(chart.title) + "<span class=\"legend\">";
    if (chart.series.size() > 1) {
      for (std::size_t s = 0; s < chart.series.size(); ++s) {
        html += fmt::format("<i class=\"s{}\"></i>{}", s % 6, html_escape(chart.series[s].name));
      }
    }
    html += "</span></h2>\n" + line_chart_svg(chart) + "</figure>\n";
  }
  return html + "</div>\n";
}

/// Curves whose names differ only in the split share a chart.
std::vector<LineChart> charts_of(const std::vector<Curve>& curves, const std::string& x_label) {
  std::vector<LineChart> charts;
  for (const Curve& curve : curves) {
    const std::string title = display_name(base_name(curve.name));
    auto at = std::find_if(charts.begin(), charts.end(),
                           [&](const LineChart& c) { return c.title == title; });
    if (at == charts.end()) at = charts.insert(charts.end(), LineChart{title, x_label, {}});
    at->series.push_back({series_name(curve.name), curve.points});
  }
  return charts;
}

std::string table_card(const ReportTable& table) {
  std::string html =
      fmt::format("<section class=\"card\"><h2>{}</h2><div class=\"scroll\"><table><tr>",
                  html_escape(table.title));
  for (std::size_t c = 0; c < table.header.size(); ++c)
    html += fmt::format("<th{}>{}</th>", c ? " class=\"n\"" : "", html_escape(table.header[c]));
  for (const auto& row : table.rows) {
    html += "</tr>\n<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      html += fmt::format("<td{}>{}</td>", c ? " class=\"n\"" : "", html_escape(row[c]));
  }
  return html + "</tr></table></div></section>\n";
}

std::string number(double value) {
  if (!std::isfinite(value)) return "–";
  return std::abs(value) >= 1e5 ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
}

std::string metrics_table(const std::vector<Curve>& curves, const std::string& x_label) {
  std::string html = fmt::format(
      "<section class=\"card\"><h2>Metrics</h2><div class=\"scroll\"><table><tr><th>metric</th><th "
      "class=\"n\">first</th>"
      "<th class=\"n\">last</th><th class=\"n\">best</th><th class=\"n\">at {}</th></tr>\n",
      x_label);
  for (const Curve& curve : curves) {
    std::pair<double, double> best{0, NAN};
    const double sign = lower_is_better(curve.name) ? 1 : -1;
    for (const auto& point : curve.points) {
      if (std::isfinite(point.second) && !(sign * point.second >= sign * best.second)) best = point;
    }
    html += fmt::format(
        "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{:.0f}</td></tr>\n",
        html_escape(curve.name), number(curve.points.front().second),
        number(curve.points.back().second), number(best.second), best.first);
  }
  return html + "</table></div></section>\n";
}

std::string facts_table(const Facts& facts) {
  std::string html = "<table>\n";
  for (const auto& [name, value] : facts) {
    html += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", html_escape(name), html_escape(value));
  }
  return html + "</table>\n";
}

}  // namespace

std::string report_html(const ReportData& data) {
  std::string html(kHead);
  html += fmt::format(
      "<title>{0} – gradmill</title>\n</head>\n<body>\n<header><h1>{0}</h1><p>{1}</p></header>\n",
      html_escape(data.title), html_escape(data.subtitle));
  if (!data.results.empty()) {
    html += "<div class=\"tiles\">\n";
    for (const auto& [name, value] : data.results) {
      html += fmt::format("<div class=\"card tile\"><span>{}</span><b>{}</b></div>\n",
                          html_escape(name), html_escape(value));
    }
    html += "</div>\n";
  }
  if (!data.warnings.empty()) {
    html += "<section class=\"card warnings\"><h2>Warnings</h2><ul>\n";
    for (const std::string& warning : data.warnings)
      html += "<li>" + html_escape(warning) + "</li>\n";
    html += "</ul></section>\n";
  }

  std::set<std::int64_t> epochs;
  for (const MetricsRecord& record : data.metrics) epochs.insert(record.epoch);
  const bool by_step = epochs.size() != data.metrics.size();
  const std::string x_label = by_step ? "step" : "epoch";
  const std::vector<Curve> curves = curves_of(data.metrics, by_step);
  if (!curves.empty())
    html += chart_cards(charts_of(curves, x_label)) + metrics_table(curves, x_label);
  if (!data.charts.empty()) html += chart_cards(data.charts);
  for (const ReportTable& table : data.tables) html += table_card(table);

  if (!data.config.empty()) {
    html += "<details class=\"card\" open><summary>Configuration</summary><pre>" +
            html_escape(data.config) + "</pre></details>\n";
  }
  if (!data.environment.empty()) {
    html += "<details class=\"card\"><summary>Environment</summary>" +
            facts_table(data.environment) + "</details>\n";
  }
  return html + "<footer>Written by gradmill.</footer>\n</body>\n</html>\n";
}

}  // namespace gradmill
