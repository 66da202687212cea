// Losses and slopes of a row's scores, on CUDA; the contract is LinearGradientArgs'.
#pragma once

#include "kernels/linear_pass/row_scores.cuh"
#include "kernels/losses.h"

namespace gradmill::cuda {

struct Targets {
  VectorView<const float> labels, weights;
  Loss loss;
  __device__ float weight(std::int64_t row) const { return weights.size ? weights[row] : 1.0f; }
};

/// By a warp: a row's C > 1 scores become scale s_i dL/dm, and curvatures s_i d2L/dm2 (softmax: the
/// probabilities) if asked for. Gives s_i L_i in lane 0.
__device__ inline double class_losses(const Targets& targets, std::int64_t row,
                                      std::int64_t classes, float scale, float* scores,
                                      float* curvatures) {
  const int lane = threadIdx.x % kWarp;
  const auto label = static_cast<std::int64_t>(targets.labels[row]);
  const float s = targets.weight(row);
  if (targets.loss.kind != LossKind::softmax) {
    float loss = 0;
    for (std::int64_t c = lane; c < classes; c += kWarp) {
      const PointLoss at = point_loss(targets.loss, scores[c], c == label ? 1.0f : 0.0f);
      loss += at.value;
      scores[c] = scale * s * at.slope;
      if (curvatures) curvatures[c] = s * at.curvature;
    }
    return static_cast<double>(s) * lane_sum(loss);
  }
  const float best = max_score(scores, classes), own = scores[label];
  float sum = 0;
  for (std::int64_t c = lane; c < classes; c += kWarp) sum += expf(scores[c] - best);
  sum = lane_sum(sum);
  __syncwarp();  // all have read their label's score
  for (std::int64_t c = lane; c < classes; c += kWarp) {
    const float p = expf(scores[c] - best) / sum;
    scores[c] = scale * s * (p - (c == label ? 1.0f : 0.0f));
    if (curvatures) curvatures[c] = p;
  }
  return static_cast<double>(s) * (logf(sum) + best - own);
}

}  // namespace gradmill::cuda
