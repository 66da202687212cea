// Update formulas of mini-batch optimizers for one parameter, once for both devices.
//
// Regularization is proximal: after the gradient step with learning rate a,
//   w <- prox(w) = sign(w) max(|w| - r a l1, 0) / (1 + r a l2),
// where r is the parameter's own rate (1 for sgd, 1 / (sqrt(sum g^2) + eps) for adagrad, ...). A
// parameter that sees no gradient for some steps is not touched; when it is next, a is the sum of the
// learning rates of those steps (Duchi, Shalev-Shwartz, Singer, Tewari, "Composite objective mirror
// descent", COLT'10; exact for l1, first order for l2). So a step costs its touched columns only.
//   sgd       v = momentum v + g;  w -= a v                                          slots: v, if momentum
//             nesterov: w -= a (g + momentum v) (Sutskever, Martens, Dahl, Hinton, ICML'13)
//   adagrad   n += g^2;  w -= a g / (sqrt(n) + eps)         (Duchi, Hazan, Singer, JMLR'11)    slots: n
//   adam      g += l2 w; m, v moments; w -= a m^ / (sqrt(v^) + eps)  (Kingma, Ba, ICLR'15)  slots: m, v
//   adamw     the same without l2 in g; w /= 1 + a l2              (Loshchilov, Hutter, ICLR'19)
//             Moments of a parameter decay for the steps it missed, as if their gradients were 0.
//   ftrl      s = (sqrt(n + g^2) - sqrt(n)) / alpha;  z += g - s w;  n += g^2;
//             w = -(z - sign(z) t l1) / ((beta + sqrt(n)) / alpha + t l2) or 0 if |z| <= t l1, where t
//             steps were made: the penalty is part of each step's loss (McMahan, "Follow-the-
//             regularized-leader and mirror descent", AISTATS'11). alpha: the learning rate. slots: z, n
#pragma once

#include <cmath>
#include <cstdint>

#include "runtime/view.h"

namespace gradmill {

enum class OptimizerKind : std::uint8_t { sgd, adagrad, adam, adamw, ftrl };

/// Numbers of one step, equal for all parameters.
struct OptimizerStep {
  OptimizerKind kind = OptimizerKind::sgd;
  float rate = 0.1f;  // a of this step
  float l1 = 0, l2 = 0;
  float momentum = 0;
  bool nesterov = false;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float ftrl_beta = 1;
  float steps = 1;                 // t: steps made, this one included
  float unbias1 = 1, unbias2 = 1;  // 1 / (1 - beta1^t), 1 / (1 - beta2^t)
};

GRADMILL_HD inline int optimizer_slots(OptimizerKind kind, float momentum) {
  return kind == OptimizerKind::sgd ? (momentum != 0 ? 1 : 0)
                                    : (kind == OptimizerKind::adagrad ? 1 : 2);
}

/// Without branches, so that compilers make vectors of it; never -0.
GRADMILL_HD inline float shrink(float w, float threshold) {
  const float size = fabsf(w) - threshold;
  return copysignf(size > 0 ? size : 0.0f, w) + 0.0f;
}

GRADMILL_HD inline float ftrl_weight(const OptimizerStep& o, float l1, float l2, float z, float n) {
  return -shrink(z, o.steps * l1) / ((o.ftrl_beta + sqrtf(n)) / o.rate + o.steps * l2);
}

/// 1 / (sqrt(sum) + epsilon); 0 for a parameter that never had a gradient.
GRADMILL_HD inline float inverse_root(float sum, float epsilon) {
  const float inverse = 1 / (sqrtf(sum) + epsilon);
  return sum > 0 ? inverse : 0.0f;
}

/// What of the penalty is applied outside the gradient.
struct Penalty {
  float l1, l2;
};

/// One parameter whose gradient is g. gap: steps since its last update, this one included (1: it had one in
/// the step before); gap_rate: the sum of their learning rates. penalty {0, 0} for intercepts.
/// Slots that the kind does not have are not read.
GRADMILL_HD inline void optimizer_update(const OptimizerStep& o, Penalty penalty, float g, int gap,
                                         float gap_rate, float& w, float& slot0, float& slot1) {
  switch (o.kind) {
    case OptimizerKind::sgd: {
      float v = g;
      if (o.momentum != 0) {
        v += slot0 * (gap == 1 ? o.momentum : powf(o.momentum, static_cast<float>(gap)));
        slot0 = v;
        if (o.nesterov) v = g + o.momentum * v;
      }
      w = shrink(w - o.rate * v, gap_rate * penalty.l1) / (1 + gap_rate * penalty.l2);
      return;
    }
    case OptimizerKind::adagrad: {
      slot0 += g * g;
      const float own = inverse_root(slot0, o.epsilon), rate = gap_rate * own;
      w = shrink(w - o.rate * own * g, rate * penalty.l1) / (1 + rate * penalty.l2);
      return;
    }
    case OptimizerKind::adam:
    case OptimizerKind::adamw: {
      const bool decoupled = o.kind == OptimizerKind::adamw;
      if (!decoupled) g += penalty.l2 * w;
      const float gaps = static_cast<float>(gap);
      const float keep1 = gap == 1 ? o.beta1 : powf(o.beta1, gaps);
      const float keep2 = gap == 1 ? o.beta2 : powf(o.beta2, gaps);
      slot0 = keep1 * slot0 + (1 - o.beta1) * g;
      slot1 = keep2 * slot1 + (1 - o.beta2) * g * g;
      const float own = inverse_root(slot1 * o.unbias2, o.epsilon);
      w = shrink(w - o.rate * own * slot0 * o.unbias1, gap_rate * own * penalty.l1);
      if (decoupled) w /= 1 + gap_rate * penalty.l2;
      return;
    }
    case OptimizerKind::ftrl: {
      const float grown = slot1 + g * g;
      slot0 += g - (sqrtf(grown) - sqrtf(slot1)) / o.rate * w;
      slot1 = grown;
      w = ftrl_weight(o, penalty.l1, penalty.l2, slot0, slot1);
      return;
    }
  }
}

/// The penalty of gap_rate's steps, for a parameter that had no gradient in them.
GRADMILL_HD inline void optimizer_settle(const OptimizerStep& o, Penalty penalty, float gap_rate,
                                         float& w, const float& slot0, const float& slot1) {
  if (o.kind == OptimizerKind::ftrl) {
    w = ftrl_weight(o, penalty.l1, penalty.l2, slot0, slot1);
    return;
  }
  float own = 1;
  if (o.kind == OptimizerKind::adagrad) own = inverse_root(slot0, o.epsilon);
  if (o.kind == OptimizerKind::adam || o.kind == OptimizerKind::adamw)
    own = inverse_root(slot1 * o.unbias2, o.epsilon);
  w = shrink(w, gap_rate * own * penalty.l1);
  if (o.kind == OptimizerKind::sgd || o.kind == OptimizerKind::adagrad)
    w /= 1 + gap_rate * own * penalty.l2;
  if (o.kind == OptimizerKind::adamw) w /= 1 + gap_rate * penalty.l2;
}

/// Slots with which a run begins from weight w (another model's, or 0).
GRADMILL_HD inline void optimizer_start(const OptimizerStep& o, float w, float& slot0,
                                        float& slot1) {
  slot0 = o.kind == OptimizerKind::ftrl ? -w * o.ftrl_beta / o.rate : 0.0f;
  slot1 = 0;
}

}  // namespace gradmill
