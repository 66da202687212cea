// Layer normalization of hidden units, with the activation behind it, and the way back.
#pragma once

#include "kernels/activations.h"
#include "runtime/check.h"

namespace gradmill {

/// For each row b of x, with mean m and variance v (of H, biased) of its elements:
///   inverse[b] = 1 / sqrt(v + epsilon);   x[b, h] <- (x[b, h] - m) inverse[b], the normalized value;
///   y = scale[h] x[b, h] + shift[h];   kept[b, h] = y, if it has data;   out[b, h] = activate(y).
/// Shapes   x, out, kept [B, H]; scale, shift [H]; inverse [B].     Bytes  16 B H (20 with kept).
/// Order    a row's sums in order of its elements, in double on the CPU, by tree on CUDA.
/// Source   Ba, Kiros, Hinton, "Layer normalization", arXiv 1607.06450.
struct LayerNormArgs {
  MatrixView<float> x;
  VectorView<const float> scale, shift;
  float epsilon = 1e-5f;
  Activation activation = Activation::identity;
  MatrixView<float> kept;
  MatrixView<float> out;
  VectorView<float> inverse;

  static constexpr Tolerance tolerance{1e-4, 1e-5};
  template <class V>
  void visit(V& v) {
    v.out("x", x);
    v.in("scale", scale);
    v.in("shift", shift);
    v.out("kept", kept);
    v.out("out", out);
    v.out("inverse", inverse);
  }
};
void layer_norm(const Context& ctx, const LayerNormArgs& args);

/// With g = gradient = dL/dy of a forward pass, n its normalized values and t = g scale:
///   scale_gradient[h] (+)= sum_b g n;   shift_gradient[h] (+)= sum_b g;
///   gradient[b, h] <- inverse[b] (t[h] - mean_h t - n[b, h] mean_h (t n)), the gradient of what x was.
/// (+): added if accumulate.
/// Shapes   as LayerNormArgs; gradient [B, H].     Bytes  16 B H.     Order  rows in fixed chunks.
struct LayerNormGradientArgs {
  MatrixView<const float> normalized;
  VectorView<const float> scale, inverse;
  bool accumulate = false;
  MatrixView<float> gradient;
  VectorView<float> scale_gradient, shift_gradient;

  static constexpr Tolerance tolerance{1e-3, 1e-4};
  template <class V>
  void visit(V& v) {
    v.in("normalized", normalized);
    v.in("scale", scale);
    v.in("inverse", inverse);
    v.out("gradient", gradient);
    v.out("scale_gradient", scale_gradient);
    v.out("shift_gradient", shift_gradient);
  }
};
void layer_norm_gradient(const Context& ctx, const LayerNormGradientArgs& args);

namespace cpu {
void layer_norm(const Context& ctx, const LayerNormArgs& args);
void layer_norm_gradient(const Context& ctx, const LayerNormGradientArgs& args);
}  // namespace cpu
namespace cuda {
void layer_norm(const Context& ctx, const LayerNormArgs& args);
void layer_norm_gradient(const Context& ctx, const LayerNormGradientArgs& args);
}  // namespace cuda

}  // namespace gradmill
