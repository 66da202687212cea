// Losses of one prediction, once for both devices. margin is the raw score x.w + b.
//   squared        (margin - y)^2 / 2
//   logistic       log(1 + exp(-s margin)),            s = +1 if y > 0, else -1
//   hinge          max(0, 1 - s margin)
//   squared_hinge  max(0, 1 - s margin)^2
//   huber          parameter d: e^2 / 2 if |e| <= d, else d (|e| - d / 2),   e = margin - y
//   quantile       parameter t in (0, 1): t (y - margin) if y > margin, else (1 - t) (margin - y)
//   poisson        exp(margin) - y margin,             y >= 0
//   softmax        over the C margins of a sample: -log softmax(margins)[y]; not a point loss
#pragma once

#include <cmath>
#include <cstdint>

#include "runtime/view.h"

namespace gradmill {

enum class LossKind : std::uint8_t {
  squared,
  logistic,
  softmax,
  hinge,
  squared_hinge,
  huber,
  quantile,
  poisson
};

struct Loss {
  LossKind kind = LossKind::logistic;
  float parameter = 0;  // huber: delta; quantile: tau
};

/// Value, first and second derivative by the margin (the generalized one where there is a kink).
struct PointLoss {
  float value, slope, curvature;
};

GRADMILL_HD inline PointLoss point_loss(const Loss& loss, float margin, float y) {
  const float s = y > 0 ? 1.0f : -1.0f;
  switch (loss.kind) {
    case LossKind::squared: {
      const float e = margin - y;
      return {0.5f * e * e, e, 1.0f};
    }
    case LossKind::logistic: {
      const float z = s * margin, q = expf(-fabsf(z)), p = 1.0f / (1.0f + q);
      const float wrong = z > 0 ? q * p : p;  // 1 - P(y)
      return {log1pf(q) + fmaxf(-z, 0.0f), -s * wrong, q * p * p};
    }
    case LossKind::hinge: {
      const float gap = 1.0f - s * margin;
      return {fmaxf(gap, 0.0f), gap > 0 ? -s : 0.0f, 0.0f};
    }
    case LossKind::squared_hinge: {
      const float gap = fmaxf(1.0f - s * margin, 0.0f);
      return {gap * gap, -2.0f * s * gap, gap > 0 ? 2.0f : 0.0f};
    }
    case LossKind::huber: {
      const float e = margin - y, d = loss.parameter, size = fabsf(e);
      if (size <= d) return {0.5f * e * e, e, 1.0f};
      return {d * (size - 0.5f * d), e > 0 ? d : -d, 0.0f};
    }
    case LossKind::quantile: {
      const float e = margin - y, t = loss.parameter;
      return e < 0 ? PointLoss{-t * e, -t, 0.0f}
                   : PointLoss{(1 - t) * e, e > 0 ? 1 - t : 0.0f, 0.0f};
    }
    case LossKind::poisson: {
      const float rate = expf(margin);
      return {rate - y * margin, rate - y, rate};
    }
    case LossKind::softmax:
      break;
  }
  return {0, 0, 0};
}

}  // namespace gradmill
