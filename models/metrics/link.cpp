#include "models/metrics/link.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"

namespace gradmill {

Link link_of(const Loss& loss, int outputs) {
  switch (loss.kind) {
    case LossKind::logistic:
      return outputs > 1 ? Link::one_vs_rest : Link::logistic;
    case LossKind::softmax:
      return Link::softmax;
    case LossKind::hinge:
    case LossKind::squared_hinge:
      return Link::none;
    case LossKind::poisson:
      return Link::exponential;
    case LossKind::squared:
    case LossKind::huber:
    case LossKind::quantile:
      return Link::identity;
  }
  return Link::identity;
}

double logistic(double margin) {
  const double small = std::exp(-std::abs(margin));
  return margin >= 0 ? 1 / (1 + small) : small / (1 + small);
}

void class_probabilities(Link link, std::span<const float> margins, std::span<double> out) {
  if (margins.size() == 1) {
    out[1] = logistic(margins[0]);
    out[0] = logistic(-static_cast<double>(margins[0]));
    return;
  }
  require(link == Link::softmax || link == Link::one_vs_rest,
          "class_probabilities: {} margins and link {}", margins.size(), static_cast<int>(link));
  const double most = *std::max_element(margins.begin(), margins.end());
  double sum = 0;
  for (std::size_t c = 0; c < margins.size(); ++c) {
    out[c] = link == Link::softmax ? std::exp(margins[c] - most) : logistic(margins[c]);
    sum += out[c];
  }
  // One against the rest: all probabilities may have underflowed to 0; then the classes are equal.
  for (std::size_t c = 0; c < margins.size(); ++c)
    out[c] = sum > 0 ? out[c] / sum : 1.0 / static_cast<double>(margins.size());
}

int predicted_class(std::span<const float> margins) {
  if (margins.size() == 1) return margins[0] > 0;
  return static_cast<int>(std::max_element(margins.begin(), margins.end()) - margins.begin());
}

}  // namespace gradmill
