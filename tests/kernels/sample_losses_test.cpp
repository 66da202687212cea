#include "kernels/sample_losses/sample_losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gradmill {
namespace {

constexpr std::int64_t kSizes[] = {0, 1, 31, 32, 33, 257, 10000};

double sign(double y) { return y > 0 ? 1 : -1; }

/// Of one margin, in double: written from losses.h.
double reference_loss(const Loss& loss, double m, double y) {
  const double e = m - y, d = static_cast<double>(loss.parameter);
  switch (loss.kind) {
    case LossKind::squared:
      return e * e / 2;
    case LossKind::logistic:
      return std::log1p(std::exp(-sign(y) * m));
    case LossKind::hinge:
      return std::max(0.0, 1 - sign(y) * m);
    case LossKind::squared_hinge:
      return std::pow(std::max(0.0, 1 - sign(y) * m), 2);
    case LossKind::huber:
      return std::abs(e) <= d ? e * e / 2 : d * (std::abs(e) - d / 2);
    case LossKind::quantile:
      return e < 0 ? -d * e : (1 - d) * e;
    case LossKind::poisson:
      return std::exp(m) - y * m;
    case LossKind::softmax:
      break;
  }
  return NAN;
}

struct Problem {
  std::int64_t rows, cols, stride;
  std::vector<float> margins, slopes, labels, targets, weights;
  double loss = 3;  // added to
  std::int32_t ticket = 0;
  std::vector<float> parts{7, 7};

  Problem(std::int64_t n, std::int64_t outputs, bool classes, bool weighted, unsigned seed)
      : rows(n), cols(outputs), stride(outputs + 3) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < rows * stride; ++i) margins.push_back(2 * normal(rng));
    slopes.assign(margins.size(), 55.0f);
    for (std::int64_t i = 0; i < rows; ++i) {
      const unsigned count = static_cast<unsigned>(std::max<std::int64_t>(outputs, 2));
      labels.push_back(classes ? static_cast<float>(rng() % count) : std::abs(normal(rng)));
      if (weighted) weights.push_back(std::abs(normal(rng)));
    }
    for (std::int64_t i = 0; i < rows * cols; ++i) targets.push_back(std::abs(normal(rng)));
  }
  double weight(std::int64_t r) const {
    return weights.empty() ? 1.0 : static_cast<double>(weights[static_cast<std::size_t>(r)]);
  }
  double margin(std::int64_t r, std::int64_t c) const {
    return margins[static_cast<std::size_t>(r * stride + c)];
  }
  double slope(std::int64_t r, std::int64_t c) const {
    return slopes[static_cast<std::size_t>(r * stride + c)];
  }
  SampleLossesArgs args(const Loss& kind, bool use_targets) {
    SampleLossesArgs a;
    a.margins = {margins.data(), rows, cols, stride, {}};
    a.slopes = {slopes.data(), rows, cols, stride, {}};
    if (use_targets)
      a.targets = {targets.data(), rows, cols, cols, {}};
    else
      a.labels = {labels.data(), rows, {}};
    a.weights = {weights.data(), static_cast<std::int64_t>(weights.size()), {}};
    a.loss_kind = kind;
    a.scale = 0.25f;
    a.loss = {&loss, 1, {}};
    a.loss_parts = {parts.data(), 2, {}};
    a.ticket = {&ticket, 1, {}};
    return a;
  }
};

/// Value and slope of element (r, c) against `of`, a function of the margin, by central differences.
template <class Of>
void expect_slope(const Problem& p, std::int64_t r, std::int64_t c, double scale, Of&& of) {
  const double m = p.margin(r, c), h = 1e-5;
  ASSERT_NEAR(p.slope(r, c), scale * (of(m + h) - of(m - h)) / (2 * h), 3e-5) << r << ", " << c;
}

TEST(SampleLossesTest, PointLossesOfOneOutputOrTargets) {
  for (const Loss loss :
       {Loss{LossKind::squared, 0}, Loss{LossKind::logistic, 0}, Loss{LossKind::hinge, 0},
        Loss{LossKind::squared_hinge, 0}, Loss{LossKind::huber, 0.7f},
        Loss{LossKind::quantile, 0.3f}, Loss{LossKind::poisson, 0}})
    for (const std::int64_t rows : kSizes)
      for (const std::int64_t outputs : {1, 3})
        for (const bool weighted : {false, true}) {
          const bool classes = loss.kind == LossKind::logistic || loss.kind == LossKind::hinge ||
                               loss.kind == LossKind::squared_hinge;
          Problem p(rows, outputs, classes, weighted, 5);
          sample_losses(Context::cpu(2), p.args(loss, outputs > 1));
          double expected = 3;
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t c = 0; c < outputs; ++c) {
              const double y = outputs > 1 ? p.targets[static_cast<std::size_t>(r * outputs + c)]
                                           : p.labels[static_cast<std::size_t>(r)];
              const auto of = [&](double m) { return reference_loss(loss, m, y); };
              expected += p.weight(r) * of(p.margin(r, c));
              if (r % 97 == 0) expect_slope(p, r, c, 0.25 * p.weight(r), of);
            }
          ASSERT_NEAR(p.loss, expected, 1e-5 * std::abs(expected)) << static_cast<int>(loss.kind);
        }
}

TEST(SampleLossesTest, SoftmaxAndOneAgainstTheRest) {
  for (const std::int64_t rows : kSizes)
    for (const std::int64_t classes : {2, 10, 33}) {
      Problem soft(rows, classes, true, true, 6), rest(rows, classes, true, true, 6);
      sample_losses(Context::cpu(2), soft.args({LossKind::softmax, 0}, false));
      sample_losses(Context::cpu(2), rest.args({LossKind::logistic, 0}, false));
      double soft_sum = 3, rest_sum = 3;
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto y = static_cast<std::int64_t>(soft.labels[static_cast<std::size_t>(r)]);
        double total = 0;
        for (std::int64_t c = 0; c < classes; ++c) {
          total += std::exp(soft.margin(r, c));
          rest_sum += rest.weight(r) *
                      reference_loss({LossKind::logistic, 0}, rest.margin(r, c), c == y ? 1 : 0);
        }
        soft_sum += soft.weight(r) * (std::log(total) - soft.margin(r, y));
        for (std::int64_t c = 0; c < classes; ++c)
          ASSERT_NEAR(soft.slope(r, c),
                      0.25 * soft.weight(r) * (std::exp(soft.margin(r, c)) / total - (c == y)),
                      1e-6);
      }
      ASSERT_NEAR(soft.loss, soft_sum, 1e-5 * soft_sum);
      ASSERT_NEAR(rest.loss, rest_sum, 1e-5 * rest_sum);
    }
}

TEST(SampleLossesTest, SlopesMayBeTheMarginsAndPaddingStays) {
  for (const LossKind kind : {LossKind::softmax, LossKind::logistic}) {
    Problem apart(300, 5, true, true, 7), within(300, 5, true, true, 7);
    sample_losses(Context::cpu(1), apart.args({kind, 0}, false));
    SampleLossesArgs args = within.args({kind, 0}, false);
    args.slopes = {within.margins.data(), 300, 5, within.stride, {}};
    sample_losses(Context::cpu(1), args);
    EXPECT_EQ(apart.loss, within.loss);
    for (std::int64_t r = 0; r < 300; ++r) {
      for (std::int64_t c = 0; c < 5; ++c) ASSERT_EQ(apart.slope(r, c), within.margin(r, c));
      for (std::int64_t c = 5; c < apart.stride; ++c) ASSERT_EQ(apart.slope(r, c), 55.0);
    }
  }
}

TEST(SampleLossesTest, LossAloneAndAnyNumberOfThreadsGiveTheSameBits) {
  Problem one(5000, 4, true, true, 8), three(5000, 4, true, true, 8), alone(5000, 4, true, true, 8);
  sample_losses(Context::cpu(1), one.args({LossKind::softmax, 0}, false));
  sample_losses(Context::cpu(3), three.args({LossKind::softmax, 0}, false));
  SampleLossesArgs args = alone.args({LossKind::softmax, 0}, false);
  args.slopes = {};
  sample_losses(Context::cpu(2), args);
  EXPECT_EQ(one.loss, three.loss);
  EXPECT_EQ(one.slopes, three.slopes);
  EXPECT_EQ(one.loss, alone.loss);
}

TEST(SampleLossesTest, OfAStep) {
  Problem apart(300, 3, true, true, 7), step(300, 3, true, true, 7);
  sample_losses(Context::cpu(1), apart.args({LossKind::softmax, 0}, false));
  std::vector<double> input(StepInput::count, 0.0), state(StepState::count, 0.0);
  input[StepInput::weight] = 8;
  SampleLossesArgs args = step.args({LossKind::softmax, 0}, false);
  args.input = {input.data(), StepInput::count, {}};
  args.state = {state.data(), StepState::count, {}};
  args.accumulate = false;
  for (const double loss_scale : {0.0, 1024.0}) {
    state[StepState::loss_scale] = loss_scale;
    sample_losses(Context::cpu(1), args);
    EXPECT_EQ(step.loss, apart.loss - 3);
    EXPECT_NEAR(static_cast<double>(step.parts[0]) + static_cast<double>(step.parts[1]), step.loss,
                1e-13 * step.loss);
    for (std::int64_t r = 0; r < 300; ++r)
      ASSERT_EQ(8 * step.slope(r, 1), apart.slope(r, 1) * (loss_scale > 0 ? loss_scale : 1));
  }
}

TEST(SampleLossesTest, ExtremeMarginsStayFinite) {
  for (const LossKind kind : {LossKind::logistic, LossKind::softmax}) {
    Problem p(64, kind == LossKind::softmax ? 3 : 1, true, false, 9);
    for (float& m : p.margins) m *= 300;
    sample_losses(Context::cpu(1), p.args({kind, 0}, false));
    EXPECT_TRUE(std::isfinite(p.loss));
    for (std::int64_t r = 0; r < 64; ++r) EXPECT_TRUE(std::isfinite(p.slope(r, 0)));
  }
}
}  // namespace
}  // namespace gradmill
