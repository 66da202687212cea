#include "launch/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "launch/line_chart.h"

namespace gradmill {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

ReportData example() {
  ReportData data;
  data.title = "mf-0001";
  data.subtitle = "biased matrix factorization";
  data.results = {{"valid RMSE", "0.9123"}};
  for (int epoch = 1; epoch <= 20; ++epoch) {
    data.metrics.push_back({epoch * 100,
                            epoch,
                            epoch * 0.5,
                            {{"train_rmse", 0.6 + 0.6 / epoch},
                             {"valid_rmse", 0.9 + 0.3 / epoch},
                             {"ndcg@10", 0.2 + 0.01 * epoch}}});
  }
  data.config = "[model]\nname = \"<script>alert(1)</script>\"\n";
  data.environment = {{"host", "a & b"}};
  data.warnings = {"3 rows were \"skipped\""};
  return data;
}

TEST(Report, HoldsEverythingAndNothingFromTheNetwork) {
  const std::string html = report_html(example());
  EXPECT_EQ(count(html, "<svg "), 2U);  // train and valid share a chart
  EXPECT_NE(html.find("<h2>RMSE<span class=\"legend\"><i class=\"s0\"></i>train<i "
                      "class=\"s1\"></i>valid</span></h2>"),
            std::string::npos);
  EXPECT_NE(html.find("NDCG@10"), std::string::npos);
  EXPECT_NE(html.find("valid: 0.915 at epoch 20"), std::string::npos);
  EXPECT_NE(html.find("<td>valid_rmse</td><td class=\"n\">1.2</td><td class=\"n\">0.915</td><td "
                      "class=\"n\">0.915</td><td class=\"n\">20</td>"),
            std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
  EXPECT_EQ(count(html, "<script"), 0U);
  EXPECT_EQ(count(html, "http:") + count(html, "https:") + count(html, "src=\""), 0U);
  EXPECT_NE(html.find("a &amp; b"), std::string::npos);
  EXPECT_NE(html.find("3 rows were &quot;skipped&quot;"), std::string::npos);
}

TEST(Report, HasChartsAndTablesOfTheModel) {
  ReportData data = example();
  data.charts.push_back({"ROC", "fall-out", {{"recall", {{0, 0}, {0.25, 0.75}, {1, 1}}}}, false});
  data.tables.push_back({"Confusion", {"", "a", "<b>"}, {{"a", "10", "2"}, {"<b>", "1", "7"}}});
  const std::string html = report_html(data);
  EXPECT_EQ(count(html, "<svg "), 3U);
  EXPECT_NE(html.find("recall: 0.75 at fall-out 0.25"), std::string::npos);
  EXPECT_NE(html.find(">0.4</text>"), std::string::npos);  // ticks between 0 and 1
  EXPECT_NE(html.find("<th class=\"n\">&lt;b&gt;</th>"), std::string::npos);
  EXPECT_NE(html.find("<tr><td>a</td><td class=\"n\">10</td><td class=\"n\">2</td>"),
            std::string::npos);
}

TEST(Report, SpeedComesAfterWhatWasLearned) {
  ReportData data;
  data.metrics = {{1, 1, 1, {{"epoch_seconds", 2}, {"rmse", 1}}},
                  {2, 2, 2, {{"epoch_seconds", 1}, {"rmse", 2}}}};
  const std::string html = report_html(data);
  EXPECT_LT(html.find("<h2>RMSE"), html.find("<h2>Epoch seconds"));
  EXPECT_NE(html.find("<td>epoch_seconds</td><td class=\"n\">2</td><td class=\"n\">1</td>"
                      "<td class=\"n\">1</td><td class=\"n\">2</td>"),
            std::string::npos);
}

TEST(Report, WorksWithoutAnything) {
  const std::string html = report_html({});
  EXPECT_EQ(count(html, "<svg "), 0U);
  EXPECT_EQ(count(html, "</html>"), 1U);
}

TEST(LineChart, GapsConstantsAndSinglePoints) {
  LineChart chart{
      "t", "step", {{"a", {{1, 2}, {2, NAN}, {3, 2}, {4, 2}}}, {"b", {{1, INFINITY}}}, {"c", {}}}};
  const std::string svg = line_chart_svg(chart);
  EXPECT_EQ(count(svg, "nan") + count(svg, "inf"), 0U);
  EXPECT_EQ(count(svg, "<title>a:"), 3U);
  EXPECT_EQ(count(svg, "\"M"), 1U);  // one path that is not empty
  chart.series[0].points.resize(1);
  EXPECT_EQ(count(line_chart_svg(chart), "<title>a: 2 at step 1</title>"), 1U);
}

TEST(LineChart, LongSeriesAreThinnedButEndWhereTheyEnd) {
  LineChart chart{"t", "step", {{"a", {}}}};
  for (int i = 0; i <= 100'000; ++i) chart.series[0].points.emplace_back(i, i * 1e-3);
  const std::string svg = line_chart_svg(chart);
  EXPECT_LT(svg.size(), 200'000U);
  EXPECT_NE(svg.find("a: 100 at step 100000"), std::string::npos);
}

TEST(LineChart, TicksAreRound) {
  EXPECT_EQ(axis_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(axis_ticks(1, 1, 5), std::vector<double>{});
  const auto ticks = axis_ticks(-0.013, 0.021, 5);
  ASSERT_EQ(ticks.size(), 4U);
  for (std::size_t i = 0; i < ticks.size(); ++i)
    EXPECT_NEAR(ticks[i], -0.01 + 0.01 * static_cast<double>(i), 1e-12);
}

}  // namespace
}  // namespace gradmill
