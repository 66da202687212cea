// The linear kernels' contracts in double precision, without any thought of speed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/losses.h"
#include "models/linear/samples.h"

namespace gradmill::testing {

using Doubles = std::vector<double>;

/// Calls body(row, feature, value) for every entry.
template <class Body>
void for_entries(const Samples& s, Body&& body) {
  for (std::int64_t r = 0; r < s.rows(); ++r)
    for (std::int64_t e = s.offsets[static_cast<std::size_t>(r)];
         e < s.offsets[static_cast<std::size_t>(r) + 1]; ++e)
      body(static_cast<std::size_t>(r),
           static_cast<std::size_t>(s.indices[static_cast<std::size_t>(e)]),
           s.values.empty() ? 1.0 : s.values[static_cast<std::size_t>(e)]);
}

struct PointLossD {
  double value, slope, curvature;
};
inline PointLossD point_loss_d(const Loss& loss, double m, double y) {
  const double s = y > 0 ? 1 : -1, e = m - y, d = loss.parameter;
  switch (loss.kind) {
    case LossKind::squared:
      return {e * e / 2, e, 1};
    case LossKind::logistic: {
      const double p = 1 / (1 + std::exp(-s * m));
      return {-std::log(p), -s * (1 - p), p * (1 - p)};
    }
    case LossKind::hinge:
      return {std::max(0.0, 1 - s * m), s * m < 1 ? -s : 0.0, 0};
    case LossKind::squared_hinge: {
      const double gap = std::max(0.0, 1 - s * m);
      return {gap * gap, -2 * s * gap, gap > 0 ? 2.0 : 0.0};
    }
    case LossKind::huber:
      if (std::abs(e) <= d) return {e * e / 2, e, 1};
      return {d * (std::abs(e) - d / 2), e > 0 ? d : -d, 0};
    case LossKind::quantile:
      return e < 0 ? PointLossD{-d * e, -d, 0} : PointLossD{(1 - d) * e, e > 0 ? 1 - d : 0, 0};
    case LossKind::poisson:
      return {std::exp(m) - y * m, std::exp(m) - y, std::exp(m)};
    case LossKind::softmax:
      break;
  }
  return {};
}

struct LinearReference {
  const Samples& samples;
  std::size_t rows, features, outputs;
  LinearReference(const Samples& s, std::int64_t outputs)
      : samples(s),
        rows(static_cast<std::size_t>(s.rows())),
        features(static_cast<std::size_t>(s.num_features)),
        outputs(static_cast<std::size_t>(outputs)) {}

  /// [rows, outputs] of coefficients [outputs, features]
  Doubles margins(const std::vector<float>& coefficients,
                  const std::vector<float>& intercepts) const {
    Doubles m(rows * outputs);
    for (std::size_t i = 0; i < m.size(); ++i) m[i] = intercepts[i % outputs];
    for_entries(samples, [&](std::size_t r, std::size_t f, double v) {
      for (std::size_t c = 0; c < outputs; ++c)
        m[r * outputs + c] += v * coefficients[c * features + f];
    });
    return m;
  }

  /// [outputs, features] and then [outputs]: X transposed (squared) times t, and sums of t.
  Doubles products(const Doubles& t, bool squared) const {
    Doubles p(outputs * (features + 1));
    for_entries(samples, [&](std::size_t r, std::size_t f, double v) {
      for (std::size_t c = 0; c < outputs; ++c)
        p[c * features + f] += (squared ? v * v : v) * t[r * outputs + c];
    });
    for (std::size_t i = 0; i < t.size(); ++i) p[outputs * features + i % outputs] += t[i];
    return p;
  }

  struct Losses {
    Doubles rows, slopes, curvatures;
  };
  Losses losses(const Loss& loss, const Doubles& m) const {
    Losses out{Doubles(rows), Doubles(m.size()), Doubles(m.size())};
    for (std::size_t r = 0; r < rows; ++r) {
      const double s = samples.weights.empty() ? 1.0 : samples.weights[r], y = samples.labels[r];
      double best = -1e300, sum = 0;
      for (std::size_t c = 0; c < outputs; ++c) best = std::max(best, m[r * outputs + c]);
      for (std::size_t c = 0; c < outputs; ++c) sum += std::exp(m[r * outputs + c] - best);
      for (std::size_t c = 0; c < outputs; ++c) {
        const std::size_t i = r * outputs + c;
        const double own = static_cast<double>(c) == y ? 1 : 0;
        if (loss.kind == LossKind::softmax) {
          const double p = std::exp(m[i] - best) / sum;
          if (own != 0) out.rows[r] += s * (std::log(sum) + best - m[i]);
          out.slopes[i] = s * (p - own);
          out.curvatures[i] = p;
        } else {
          const PointLossD at = point_loss_d(loss, m[i], outputs == 1 ? y : own);
          out.rows[r] += s * at.value;
          out.slopes[i] = s * at.slope;
          out.curvatures[i] = s * at.curvature;
        }
      }
    }
    return out;
  }

  /// t of a Hessian times a vector with products u, and of the Hessian's diagonal (no u).
  Doubles curved(const Loss& loss, const Doubles& curvatures, const Doubles* u) const {
    Doubles t(curvatures.size());
    for (std::size_t r = 0; r < rows; ++r) {
      const bool softmax = loss.kind == LossKind::softmax;
      const double s = softmax && !samples.weights.empty() ? samples.weights[r] : 1.0;
      double mean = 0;
      for (std::size_t c = 0; softmax && u && c < outputs; ++c)
        mean += curvatures[r * outputs + c] * (*u)[r * outputs + c];
      for (std::size_t c = 0; c < outputs; ++c) {
        const std::size_t i = r * outputs + c;
        const double h = curvatures[i];
        t[i] = u ? s * h * ((*u)[i] - mean) : (softmax ? s * h * (1 - h) : h);
      }
    }
    return t;
  }
};

}  // namespace gradmill::testing
