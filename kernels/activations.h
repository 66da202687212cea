// Activation functions and their derivatives, once for both devices.
#pragma once

#include <cmath>
#include <cstdint>

#include "runtime/view.h"

namespace gradmill {

/// relu  max(x, 0)     gelu  x Phi(x), exact (Hendrycks, Gimpel, arXiv 1606.08415)
/// silu  x / (1 + exp(-x)) (Elfwing, Uchibe, Doya, arXiv 1702.03118)
enum class Activation : std::uint8_t { identity, relu, gelu, silu, tanh };

/// Whether the derivative needs the value before the activation; else that behind it is enough.
GRADMILL_HD constexpr bool needs_pre_activation(Activation activation) {
  return activation == Activation::gelu || activation == Activation::silu;
}

GRADMILL_HD inline float activate(Activation activation, float x) {
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::relu:
      return x > 0 ? x : 0.0f;
    case Activation::gelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Activation::silu:
      return x / (1.0f + expf(-x));
    case Activation::tanh:
      return tanhf(x);
  }
  return x;
}

/// kept: the value before the activation where needs_pre_activation(), else the value behind it.
GRADMILL_HD inline float activation_slope(Activation activation, float kept) {
  switch (activation) {
    case Activation::identity:
      return 1.0f;
    case Activation::relu:
      return kept > 0 ? 1.0f : 0.0f;
    case Activation::gelu: {
      const float density = 0.39894228040143268f * expf(-0.5f * kept * kept);
      return 0.5f * (1.0f + erff(kept * 0.70710678118654752f)) + kept * density;
    }
    case Activation::silu: {
      const float p = 1.0f / (1.0f + expf(-kept));
      return p * (1.0f + kept * (1.0f - p));
    }
    case Activation::tanh:
      return 1.0f - kept * kept;
  }
  return 1.0f;
}

}  // namespace gradmill
