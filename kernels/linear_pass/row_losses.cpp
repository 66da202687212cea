#include "kernels/linear_pass/row_losses.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace gradmill {
namespace {

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
