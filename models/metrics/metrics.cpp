#include "models/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "models/metrics/block_sums.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr int kMostConfusionClasses = 64;
constexpr std::size_t kBins = std::tuple_size_v<decltype(ClassificationMetrics::calibration)>;

double weight_of(const Scored& scored, std::int64_t row) {
  return scored.weights.size ? static_cast<double>(scored.weights[row]) : 1.0;
}

void check(const Scored& scored) {
  const std::int64_t rows = scored.margins.rows;
  require(scored.labels.size == rows && (scored.weights.size == 0 || scored.weights.size == rows),
          "metrics: {} samples, {} labels, {} weights", rows, scored.labels.size,
          scored.weights.size);
}

std::span<const float> margins_of(const Scored& scored, std::int64_t row) {
  return {scored.margins.row(row), static_cast<std::size_t>(scored.margins.cols)};
}

/// log(1 + exp(x)) without overflow.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

/// -log P(label), from the margins: exact where the probability rounds to 0 or 1.
double log_loss(Link link, std::span<const float> margins, std::size_t label) {
  if (margins.size() == 1) return softplus(label ? -double{margins[0]} : double{margins[0]});
  if (link == Link::softmax) {
    const double most = *std::max_element(margins.begin(), margins.end());
    double sum = 0;
    for (const float margin : margins) sum += std::exp(margin - most);
    return std::log(sum) + most - margins[label];
  }
  double sum = 0;
  for (const float margin : margins) sum += logistic(margin);
  return std::log(std::max(sum, 1e-300)) + softplus(-double{margins[label]});
}

/// Places in the array of sums of one pass over the samples.
struct ClassSums {
  explicit ClassSums(std::size_t classes) : classes(classes) {}
  std::size_t classes;
  std::size_t weight() const { return 0; }
  std::size_t correct() const { return 1; }
  std::size_t loss() const { return 2; }
  std::size_t bin(std::size_t b) const { return 3 + 3 * b; }
  std::size_t of_class(std::size_t c) const { return bin(kBins) + 3 * c; }  // true, predicted, both
  std::size_t confusion() const { return of_class(classes); }
  bool has_confusion() const { return classes <= kMostConfusionClasses; }
  std::size_t size() const { return confusion() + (has_confusion() ? classes * classes : 0); }
};

void add_sample(const ClassSums& at, Link link, const Scored& scored, std::int64_t row,
                double* sums) {
  const auto margins = margins_of(scored, row);
  const double weight = weight_of(scored, row);
  const auto label = static_cast<std::size_t>(scored.labels[row]);
  const auto predicted = static_cast<std::size_t>(predicted_class(margins));
  sums[at.weight()] += weight;
  sums[at.of_class(label)] += weight;
  sums[at.of_class(predicted) + 1] += weight;
  if (label == predicted) {
    sums[at.correct()] += weight;
    sums[at.of_class(label) + 2] += weight;
  }
  if (at.has_confusion()) sums[at.confusion() + label * at.classes + predicted] += weight;
  if (link == Link::none) return;
  sums[at.loss()] += weight * log_loss(link, margins, label);
  if (at.classes > 2) return;
  std::array<double, 2> probability;
  class_probabilities(link, margins, probability);
  const auto bin = std::min(kBins - 1, static_cast<std::size_t>(probability[1] * kBins));
  sums[at.bin(bin)] += weight;
  sums[at.bin(bin) + 1] += weight * probability[1];
  sums[at.bin(bin) + 2] += label ? weight : 0;
}

/// 2 both / (true + predicted); 0 where there is nothing of either.
double f1_of(const double* of_class) {
  const double sum = of_class[0] + of_class[1];
  return sum > 0 ? 2 * of_class[2] / sum : 0;
}

double mean_f1(const ClassSums& at, const std::vector<double>& sums) {
  if (at.classes == 2) return f1_of(&sums[at.of_class(1)]);
  double total = 0;
  for (std::size_t c = 0; c < at.classes; ++c) total += f1_of(&sums[at.of_class(c)]);
  return total / static_cast<double>(at.classes);
}

void all_reduce(const Context& host, Communicator& comm, std::vector<double>& sums) {
  comm.all_reduce_sum(host,
                      VectorView<double>{sums.data(), static_cast<std::int64_t>(sums.size()), {}});
}

/// The scores of class 1 of a model with two classes.
std::vector<float> binary_scores(const Scored& scored) {
  std::vector<float> scores(static_cast<std::size_t>(scored.margins.rows));
  for (std::int64_t row = 0; row < scored.margins.rows; ++row) {
    const float* margins = scored.margins.row(row);
    scores[static_cast<std::size_t>(row)] =
        scored.margins.cols == 1 ? margins[0] : margins[1] - margins[0];
  }
  return scores;
}
}  // namespace

ClassificationMetrics classification_metrics(const Context& host, Communicator& comm, Link link,
                                             int num_classes, const Scored& scored) {
  check(scored);
  require(num_classes >= 2 && (scored.margins.cols == num_classes ||
                               (num_classes == 2 && scored.margins.cols == 1)),
          "metrics: {} classes but {} margins", num_classes, scored.margins.cols);
  const ClassSums at(static_cast<std::size_t>(num_classes));
  auto sums = block_sums(
      host, scored.margins.rows, at.size(),
      [&](std::int64_t row, double* block) { add_sample(at, link, scored, row, block); });
  all_reduce(host, comm, sums);

  ClassificationMetrics metrics;
  const double weight = metrics.weight = sums[at.weight()];
  metrics.accuracy = weight > 0 ? sums[at.correct()] / weight : kUndefined;
  metrics.log_loss = weight > 0 && link != Link::none ? sums[at.loss()] / weight : kUndefined;
  metrics.f1 = weight > 0 ? mean_f1(at, sums) : kUndefined;
  for (std::size_t b = 0; b < kBins; ++b) {
    const double* bin = &sums[at.bin(b)];
    if (bin[0] > 0) metrics.calibration[b] = {bin[0], bin[1] / bin[0], bin[2] / bin[0]};
  }
  if (at.has_confusion())
    metrics.confusion.assign(sums.begin() + static_cast<std::ptrdiff_t>(at.confusion()),
                             sums.end());
  metrics.auc = metrics.pr_auc = kUndefined;
  if (num_classes == 2) {
    const auto scores = binary_scores(scored);
    BinaryCurves curves = binary_curves(host, comm, {scores.data(), scored.margins.rows, {}},
                                        scored.labels, scored.weights);
    metrics.auc = curves.auc;
    metrics.pr_auc = curves.average_precision;
    metrics.curve = std::move(curves.curve);
  }
  return metrics;
}

RegressionMetrics regression_metrics(const Context& host, Communicator& comm, Link link,
                                     const Scored& scored) {
  check(scored);
  require(link == Link::identity || link == Link::exponential, "regression_metrics: link {}",
          static_cast<int>(link));
  const std::int64_t rows = scored.margins.rows;
  auto means = block_sums(host, rows, 2, [&](std::int64_t row, double* sums) {
    sums[0] += weight_of(scored, row);
    sums[1] += weight_of(scored, row) * scored.labels[row];
  });
  all_reduce(host, comm, means);
  const double weight = means[0], mean = means[1] / weight;
  auto errors = block_sums(host, rows, 3, [&](std::int64_t row, double* sums) {
    const double margin = scored.margins(row, 0), label = scored.labels[row];
    const double error = (link == Link::identity ? margin : std::exp(margin)) - label;
    const double w = weight_of(scored, row);
    sums[0] += w * error * error;
    sums[1] += w * std::abs(error);
    sums[2] += w * (label - mean) * (label - mean);
  });
  all_reduce(host, comm, errors);
  if (!(weight > 0)) return {weight, kUndefined, kUndefined, kUndefined};
  return {weight, std::sqrt(errors[0] / weight), errors[1] / weight,
          errors[2] > 0 ? 1 - errors[0] / errors[2] : kUndefined};
}

}  // namespace gradmill
