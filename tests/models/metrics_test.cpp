#include "models/metrics/metrics.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "tests/support/metric_cases.h"

namespace gradmill {
namespace {
using testing::scored_case;
using testing::ScoredCase;

const Context& host() {
  static const Context ctx = Context::cpu(2);
  return ctx;
}

ClassificationMetrics metrics_of(const ScoredCase& c, Link link, const Context& ctx = host()) {
  const auto comm = make_self_communicator();
  return classification_metrics(ctx, *comm, link, static_cast<int>(c.classes),
                                c.rows_of(0, c.rows()));
}

TEST(LinkTest, ProbabilitiesAreExactInBothTails) {
  EXPECT_DOUBLE_EQ(logistic(0), 0.5);
  EXPECT_DOUBLE_EQ(logistic(-700), std::exp(-700.0));
  EXPECT_DOUBLE_EQ(logistic(800), 1);
  std::array<double, 3> p;
  class_probabilities(Link::softmax, std::array{1000.0f, 1000.0f, -1000.0f}, p);
  EXPECT_DOUBLE_EQ(p[0], 0.5);
  EXPECT_DOUBLE_EQ(p[2], 0);
  class_probabilities(Link::one_vs_rest, std::array{0.0f, 0.0f, 0.0f}, p);
  EXPECT_DOUBLE_EQ(p[1], 1.0 / 3);
}

TEST(MetricsTest, CurvesHaveAPointForEveryThreshold) {
  const auto comm = make_self_communicator();
  const std::vector<float> ones{1, 1}, scores{3, 2, 2, 1, 0}, labels{1, 1, 0, 0, 1},
      weights{1, 1, 2, 1, 2};
  const auto view = [](const std::vector<float>& v) {
    return VectorView<const float>{v.data(), static_cast<std::int64_t>(v.size()), {}};
  };
  const BinaryCurves curves =
      binary_curves(host(), *comm, view(scores), view(labels), view(weights));
  const std::vector<std::array<double, 3>> want{
      {0, 0, 1}, {0.25, 0, 1}, {0.5, 2 / 3.0, 0.5}, {0.5, 1, 0.4}, {1, 1, 4 / 7.0}};
  ASSERT_EQ(curves.curve.size(), want.size());
  double area = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_DOUBLE_EQ(curves.curve[i].recall, want[i][0]);
    EXPECT_DOUBLE_EQ(curves.curve[i].fall_out, want[i][1]);
    EXPECT_DOUBLE_EQ(curves.curve[i].precision, want[i][2]);
    if (i > 0)
      area += (curves.curve[i].fall_out - curves.curve[i - 1].fall_out) *
              (curves.curve[i].recall + curves.curve[i - 1].recall) / 2;
  }
  EXPECT_DOUBLE_EQ(area, curves.auc);  // the trapezoids of Fawcett's algorithm
  EXPECT_TRUE(binary_curves(host(), *comm, view(ones), view(ones), {}).curve.empty());
}

TEST(LinkTest, TiesGoToTheLowerClass) {
  EXPECT_EQ(predicted_class(std::array{0.0f}), 0);
  EXPECT_EQ(predicted_class(std::array{1e-30f}), 1);
  EXPECT_EQ(predicted_class(std::array{1.0f, 3.0f, 3.0f}), 1);
}

TEST(MetricsTest, FourSamplesByHand) {
  ScoredCase c{2, 1, {2, -1, 1, -3}, {1, 1, 0, 0}, {1, 1, 1, 1}};
  const auto m = metrics_of(c, Link::logistic);
  EXPECT_DOUBLE_EQ(m.weight, 4);
  EXPECT_DOUBLE_EQ(m.accuracy, 0.5);
  EXPECT_DOUBLE_EQ(m.auc, 0.75);  // 3 of the 4 pairs are in order
  EXPECT_DOUBLE_EQ(m.pr_auc, (1.0 + 2.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(m.f1, 0.5);
  EXPECT_EQ(m.confusion, (std::vector<double>{1, 1, 1, 1}));
  const double loss = std::log1p(std::exp(-2)) + std::log1p(std::exp(1)) + std::log1p(std::exp(1)) +
                      std::log1p(std::exp(-3));
  EXPECT_NEAR(m.log_loss, loss / 4, 1e-15);
  EXPECT_DOUBLE_EQ(m.calibration[8].weight, 1);  // P = 0.88
  EXPECT_DOUBLE_EQ(m.calibration[8].observed, 1);
  EXPECT_NEAR(m.calibration[8].predicted, logistic(2), 1e-15);
}

TEST(MetricsTest, CurvesAgreeWithEveryPairCounted) {
  for (const int steps : {1, 2, 7, 1000})
    for (const std::int64_t rows : {2, 31, 32, 33, 257}) {
      const ScoredCase c = scored_case(rows, 2, steps, 5);
      const auto m = metrics_of(c, Link::logistic);
      if (std::isnan(testing::slow_auc(c))) {
        EXPECT_TRUE(std::isnan(m.auc));
        continue;
      }
      EXPECT_NEAR(m.auc, testing::slow_auc(c), 1e-12) << rows << " rows, " << steps << " steps";
      EXPECT_NEAR(m.pr_auc, testing::slow_average_precision(c), 1e-12);
    }
}

TEST(MetricsTest, SoftmaxLogLossAndMacroF1) {
  const ScoredCase c{3, 3, {1, 0, 0, 0, 2, 0, 0, 3, 0}, {0, 1, 2}, {1, 1, 1}};
  const auto m = metrics_of(c, Link::softmax);
  EXPECT_NEAR(m.accuracy, 2.0 / 3, 1e-15);
  const auto loss = [](double own, double a, double b) {
    return std::log(std::exp(own) + std::exp(a) + std::exp(b)) - own;
  };
  EXPECT_NEAR(m.log_loss, (loss(1, 0, 0) + loss(2, 0, 0) + loss(0, 0, 3)) / 3, 1e-12);
  EXPECT_NEAR(m.f1, (1.0 + 2.0 / 3 + 0) / 3, 1e-15);
  EXPECT_TRUE(std::isnan(m.auc));
}

TEST(MetricsTest, WhatIsUndefinedIsNotANumber) {
  const ScoredCase one_class{2, 1, {1, 2}, {1, 1}, {1, 1}};
  EXPECT_TRUE(std::isnan(metrics_of(one_class, Link::logistic).auc));
  EXPECT_DOUBLE_EQ(metrics_of(one_class, Link::logistic).pr_auc, 1);
  const auto none = metrics_of({2, 1, {}, {}, {}}, Link::logistic);
  EXPECT_TRUE(std::isnan(none.accuracy) && std::isnan(none.log_loss) && std::isnan(none.auc));
  EXPECT_TRUE(std::isnan(metrics_of(one_class, Link::none).log_loss));
}

TEST(MetricsTest, BitsDoNotDependOnThreads) {
  const ScoredCase c = scored_case(50000, 2, 5000, 9);
  const Context one = Context::cpu(1), three = Context::cpu(3);
  const auto a = metrics_of(c, Link::logistic, one), b = metrics_of(c, Link::logistic, three);
  EXPECT_EQ(a.log_loss, b.log_loss);
  EXPECT_EQ(a.auc, b.auc);
}

TEST(MetricsTest, InfiniteScoresAreRefused) {
  EXPECT_THROW(metrics_of({2, 1, {INFINITY, 0}, {1, 0}, {1, 1}}, Link::logistic), Error);
}

TEST(MetricsTest, RegressionByHand) {
  const std::vector<float> margins{1, 2, 4}, labels{1, 3, 2}, weights{1, 2, 1};
  const auto comm = make_self_communicator();
  const Scored scored{
      {margins.data(), 3, 1, 1, {}}, {labels.data(), 3, {}}, {weights.data(), 3, {}}};
  const auto m = regression_metrics(host(), *comm, Link::identity, scored);
  EXPECT_NEAR(m.rmse, std::sqrt((0 + 2 * 1 + 4) / 4.0), 1e-15);
  EXPECT_NEAR(m.mae, (0 + 2 + 2) / 4.0, 1e-15);
  const double mean = 9 / 4.0,
               spread = std::pow(1 - mean, 2) + 2 * std::pow(3 - mean, 2) + std::pow(2 - mean, 2);
  EXPECT_NEAR(m.r2, 1 - 6 / spread, 1e-14);
  const auto counts = regression_metrics(host(), *comm, Link::exponential, scored);
  EXPECT_NEAR(counts.mae, (std::exp(1) - 1 + 2 * (std::exp(2) - 3) + std::exp(4) - 2) / 4, 1e-12);
}
}  // namespace
}  // namespace gradmill
