// A line chart as SVG text, for an HTML page that brings the colours (report.cpp: .s0, .s1, … and .grid, .axis).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gradmill {

struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending; a y that is not finite is a gap
};

struct LineChart {
  std::string title, x_label;
  std::vector<ChartSeries> series;
  bool whole_x = true;  // epochs and steps are whole
};

std::string line_chart_svg(const LineChart& chart);

/// Round values (1, 2, 5 times a power of ten) within [low, high], about `count` of them.
std::vector<double> axis_ticks(double low, double high, int count);

std::string html_escape(std::string_view text);

}  // namespace gradmill
