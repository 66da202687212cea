#include "launch/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradmill {
namespace {

constexpr double kWidth = 640, kHeight = 300;
constexpr double kLeft = 64, kRight = 16, kTop = 14, kBottom = 44;
constexpr std::size_t kMaxPoints = 600;  // more would be finer than the pixels
constexpr std::size_t kMaxDots = 60;     // beyond, dots hide the line

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void widen(double share) {
    if (low > high) low = 0, high = 1;
    const double pad = high > low ? (high - low) * share : std::max(std::abs(high) * 0.1, 1e-3);
    low -= pad;
    high += pad;
  }
};

/// Drops points evenly; the last stays.
std::vector<std::pair<double, double>> thinned(
    const std::vector<std::pair<double, double>>& points) {
  const std::size_t step = (points.size() + kMaxPoints - 1) / kMaxPoints;
  if (step <= 1) return points;
  std::vector<std::pair<double, double>> kept;
  for (std::size_t i = 0; i < points.size(); i += step) kept.push_back(points[i]);
  if ((points.size() - 1) % step != 0) kept.push_back(points.back());
  return kept;
}

/// All digits of a round value: 0.25, 5.25M.
std::string tick_text(double value) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  int unit = 0;
  if (std::abs(value) >= 10'000) {
    for (; unit < 4 && std::abs(value) >= 1000; ++unit) value /= 1000;
  }
  return fmt::format("{:.6g}{}", value == 0 ? 0 : value, kUnits[unit]);
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count) {
  std::vector<double> ticks;
  if (!(high > low) || count < 1) return ticks;
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough) step = factor * power;
  }
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k)
    ticks.push_back(k * step);
  return ticks;
}

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string line_chart_svg(const LineChart& chart) {
  Range xs, ys;
  for (const ChartSeries& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      if (!std::isfinite(y)) continue;
      xs.take(x);
      ys.take(y);
    }
  }
  xs.widen(0.02);
  ys.widen(0.06);
  const auto px = [&](double x) {
    return kLeft + (x - xs.low) / (xs.high - xs.low) * (kWidth - kLeft - kRight);
  };
  const auto py = [&](double y) {
    return kHeight - kBottom - (y - ys.low) / (ys.high - ys.low) * (kHeight - kTop - kBottom);
  };

  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                                kWidth, kHeight, html_escape(chart.title));
  for (const double y : axis_ticks(ys.low, ys.high, 7)) {
    svg += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                       kLeft, kWidth - kRight, py(y), py(y));
    svg += fmt::format("<text class=\"axis\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                       kLeft - 8, py(y) + 4, tick_text(y));
  }
  for (const double x : axis_ticks(xs.low, xs.high, 8)) {
    if (chart.whole_x && x != std::floor(x)) continue;
    svg += fmt::format("<line class=\"tick\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>",
                       px(x), px(x), kHeight - kBottom, kHeight - kBottom + 5);
    svg +=
        fmt::format("<text class=\"axis\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                    px(x), kHeight - kBottom + 20, tick_text(x));
  }
  svg += fmt::format("<line class=\"base\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", kLeft,
                     kWidth - kRight, kHeight - kBottom, kHeight - kBottom);
  svg += fmt::format("<text class=\"axis\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
                     (kLeft + kWidth - kRight) / 2, kHeight - 6, html_escape(chart.x_label));

  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const auto points = thinned(chart.series[s].points);
    std::string path, dots;
    bool pen_down = false;
    for (const auto& [x, y] : points) {
      if (!std::isfinite(y)) {
        pen_down = false;
        continue;
      }
      path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", px(x), py(y));
      pen_down = true;
      // A wide invisible disc answers the mouse; the small one is seen.
      dots += fmt::format(
          "<g class=\"dot\"><circle class=\"hit\" cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"9\"/>"
          "<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"{2}\"/><title>{3}: {4:.6g} at {5} "
          "{6}</title></g>",
          px(x), py(y), points.size() <= kMaxDots ? 3 : 0, html_escape(chart.series[s].name), y,
          html_escape(chart.x_label),
          chart.whole_x ? fmt::format("{:.0f}", x) : fmt::format("{:.3g}", x));
    }
    svg += fmt::format("<g class=\"series s{}\"><path d=\"{}\"/>{}</g>\n", s % 6, path, dots);
  }
  return svg + "</svg>\n";
}

}  // namespace gradmill
