#include "kernels/linear_pass/row_losses.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace gradmill {
namespace {

// Loops over these become vectors: no branches, no library calls.

/// exp(x) for x <= 0, to 2 units in the last place; 0 below -87.
float exp_below_zero(float x) {
  const float safe = x > -87.0f ? x : -87.0f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to whole numbers
  const float n = (safe * 1.44269504f + kRound) - kRound;
  const float r = (safe - n * 0.693359375f) + n * 2.12194440e-4f;
  const float p =
      ((((1.9875691e-4f * r + 1.3981999e-3f) * r + 8.3334519e-3f) * r + 4.1665796e-2f) * r +
       1.6666665e-1f) *
          r +
      0.5f;
  const float fraction = p * r * r + r + 1.0f;
  const auto power = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
  return x > -87.0f ? fraction * power : 0.0f;
}

/// log(1 + q) for 0 <= q <= 1: the series of the inverse hyperbolic tangent in q / (2 + q).
float log_one_plus(float q) {
  const float s = q / (2.0f + q), t = s * s;
  return 2.0f * s *
         (1.0f +
          t * (1 / 3.0f +
               t * (1 / 5.0f +
                    t * (1 / 7.0f +
                         t * (1 / 9.0f + t * (1 / 11.0f + t * (1 / 13.0f + t * (1 / 15.0f))))))));
}

/// point_loss for a row of logistic losses of one output each.
double logistic_rows(std::int64_t count, const float* scores, float intercept, const float* labels,
                     const float* weights, float scale, float* slopes, float* curvatures,
                     float* values) {
  constexpr std::int64_t kBlock = 64;
  double total = 0;
  for (std::int64_t first = 0; first < count; first += kBlock) {
    const std::int64_t size = std::min(kBlock, count - first);
    float loss[kBlock], slope[kBlock], bend[kBlock], weight[kBlock];
    for (std::int64_t r = 0; r < size; ++r) weight[r] = weights ? weights[first + r] : 1.0f;
    for (std::int64_t r = 0; r < size; ++r) {
      const float s = labels[first + r] > 0 ? 1.0f : -1.0f;
      const float z = s * (scores[first + r] + intercept);
      const float q = exp_below_zero(-std::fabs(z)), p = 1.0f / (1.0f + q);
      const float wrong = z > 0 ? q * p : p;
      loss[r] = weight[r] * (log_one_plus(q) + (z > 0 ? 0.0f : -z));
      slope[r] = -s * wrong * weight[r] * scale;
      bend[r] = weight[r] * (q * p * p);
    }
    for (std::int64_t r = 0; r < size; ++r) total += loss[r];
    std::copy_n(slope, size, slopes + first);
    if (curvatures) std::copy_n(bend, size, curvatures + first);
    if (values) std::copy_n(loss, size, values + first);
  }
  return total;
}

float softmax_row(const float* m, std::int64_t classes, std::int64_t label, float* p) {
  float top = m[0];
  for (std::int64_t c = 1; c < classes; ++c) top = std::max(top, m[c]);
  float sum = 0;
  const float own = m[label];  // p may be m
  for (std::int64_t c = 0; c < classes; ++c) sum += p[c] = std::exp(m[c] - top);
  const float inverse = 1 / sum, value = std::log(sum) + (top - own);
  for (std::int64_t c = 0; c < classes; ++c) p[c] *= inverse;
  return value;
}
}  // namespace

double RowLosses::evaluate(std::int64_t first, std::int64_t count, std::int64_t stride,
                           const float* scores, float* slopes, float* curvatures,
                           float* values) const {
  if (loss.kind == LossKind::logistic && outputs == 1)
    return logistic_rows(count, scores, intercepts ? intercepts[0] : 0.0f, labels.data + first,
                         weights.size ? weights.data + first : nullptr, scale, slopes, curvatures,
                         values);
  double total = 0;
  std::vector<float> shifted(intercepts ? static_cast<std::size_t>(outputs) : 0);
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t i = first + r;
    const float s = weights.size ? weights[i] : 1.0f, label = labels[i];
    float* const t = slopes + r * stride;
    float* const h = curvatures ? curvatures + r * stride : nullptr;
    const float* m = scores + r * stride;
    if (intercepts) {
      for (std::int64_t c = 0; c < outputs; ++c)
        shifted[static_cast<std::size_t>(c)] = m[c] + intercepts[c];
      m = shifted.data();
    }
    float value = 0;
    if (loss.kind == LossKind::softmax) {
      const auto y = static_cast<std::int64_t>(label);
      value = softmax_row(m, outputs, y, t);
      if (h) std::copy_n(t, outputs, h);
      t[y] -= 1;
      for (std::int64_t c = 0; c < outputs; ++c) t[c] *= s * scale;
    } else {
      for (std::int64_t c = 0; c < outputs; ++c) {
        const float y = outputs == 1 ? label : (label == static_cast<float>(c) ? 1.0f : 0.0f);
        const PointLoss point = point_loss(loss, m[c], y);
        value += point.value;
        t[c] = s * scale * point.slope;
        if (h) h[c] = s * point.curvature;
      }
    }
    std::fill(t + outputs, t + stride, 0.0f);
    if (values) values[r] = s * value;
    total += s * value;
  }
  return total;
}

}  // namespace gradmill
