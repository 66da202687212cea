// Batch normalization of hidden units over all ranks' samples, with the activation behind it, and the way back.
#pragma once

#include "kernels/activations.h"
#include "kernels/step_state.h"
#include "runtime/check.h"

namespace gradmill {

/// sums[h] = sum_b x[b, h];   sums[H + h] = sum_b x[b, h]^2: this rank's part of a batch, to be added over ranks.
/// Shapes   x [B, H], B may be 0; sums [2 H].     Bytes  4 B H.     FLOPs  3 B H.
/// Order    double precision; rows in chunks of 256, which are added in order.
struct BatchNormSumsArgs {
  MatrixView<const float> x;
  VectorView<double> sums;

  static constexpr Tolerance tolerance{1e-6, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("x", x);
    v.out("sums", sums);
  }
};
void batch_norm_sums(const Context& ctx, const BatchNormSumsArgs& args);

/// With n = input[StepInput::rows] and the sums of all ranks, mean = sums[h] / n, variance = sums[H + h] / n - mean^2
/// (biased); without sums the `mean` and `variance` given:
///   inverse[h] = 1 / sqrt(variance + epsilon);   x[b, h] <- (x[b, h] - mean) inverse, the normalized value;
///   y = scale[h] x[b, h] + shift[h];   kept[b, h] = y, if it has data;   out[b, h] = activate(y).
/// Shapes   x, out, kept [B, H]; scale, shift, inverse, mean, variance [H].     Bytes  12 B H (16 with kept).
/// Source   Ioffe, Szegedy, "Batch normalization", ICML'15.
struct BatchNormArgs {
  MatrixView<float> x;
  VectorView<const double> sums, input;
  VectorView<const float> mean, variance;
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
    v.in("sums", sums);
    v.in("input", input);
    v.in("mean", mean);
    v.in("variance", variance);
    v.in("scale", scale);
    v.in("shift", shift);
    v.out("kept", kept);
    v.out("out", out);
    v.out("inverse", inverse);
  }
};
void batch_norm(const Context& ctx, const BatchNormArgs& args);

/// With g = gradient = dL/dy and n = normalized: sums[h] = sum_b g;   sums[H + h] = sum_b g n, to be added over
/// ranks; this rank's part of the parameters' gradients: shift_gradient[h] = sums[h], scale_gradient[h] = sums[H + h].
/// Shapes, order as BatchNormSumsArgs.     Bytes  8 B H.
struct BatchNormGradientSumsArgs {
  MatrixView<const float> gradient, normalized;
  VectorView<double> sums;
  VectorView<float> scale_gradient, shift_gradient;

  static constexpr Tolerance tolerance{1e-5, 1e-5};
  template <class V>
  void visit(V& v) {
    v.in("gradient", gradient);
    v.in("normalized", normalized);
    v.out("sums", sums);
    v.out("scale_gradient", scale_gradient);
    v.out("shift_gradient", shift_gradient);
  }
};
void batch_norm_gradient_sums(const Context& ctx, const BatchNormGradientSumsArgs& args);

/// With the sums of all ranks and n rows (input): gradient <- scale inverse (gradient - (sums[h] + normalized
/// sums[H + h]) / n), the gradient of what x was.     Bytes  12 B H.
struct BatchNormGradientArgs {
  MatrixView<const float> normalized;
  VectorView<const double> sums, input;
  VectorView<const float> scale, inverse;
  MatrixView<float> gradient;

  static constexpr Tolerance tolerance{1e-4, 1e-5};
  template <class V>
  void visit(V& v) {
    v.in("normalized", normalized);
    v.in("sums", sums);
    v.in("input", input);
    v.in("scale", scale);
    v.in("inverse", inverse);
    v.out("gradient", gradient);
  }
};
void batch_norm_gradient(const Context& ctx, const BatchNormGradientArgs& args);

/// If the step applies (state): mean <- (1 - momentum) mean + momentum sums[h] / n; variance likewise with the
/// unbiased variance (of n = 1: the biased one, 0), as PyTorch's running statistics.     Shapes  mean, variance [H].
struct BatchNormTrackArgs {
  VectorView<const double> sums, input, state;
  float momentum = 0.1f;
  VectorView<float> mean, variance;

  static constexpr Tolerance tolerance{1e-5, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("sums", sums);
    v.in("input", input);
    v.in("state", state);
    v.out("mean", mean);
    v.out("variance", variance);
  }
};
void batch_norm_track(const Context& ctx, const BatchNormTrackArgs& args);

struct Moments {
  double mean, variance;
};
GRADMILL_HD inline Moments moments_of(VectorView<const double> sums, double rows, std::int64_t h) {
  const double mean = sums[h] / rows, variance = sums[sums.size / 2 + h] / rows - mean * mean;
  return {mean, variance > 0 ? variance : 0.0};
}

namespace cpu {
void batch_norm_sums(const Context& ctx, const BatchNormSumsArgs& args);
void batch_norm(const Context& ctx, const BatchNormArgs& args);
void batch_norm_gradient_sums(const Context& ctx, const BatchNormGradientSumsArgs& args);
void batch_norm_gradient(const Context& ctx, const BatchNormGradientArgs& args);
void batch_norm_track(const Context& ctx, const BatchNormTrackArgs& args);
}  // namespace cpu
namespace cuda {
void batch_norm_sums(const Context& ctx, const BatchNormSumsArgs& args);
void batch_norm(const Context& ctx, const BatchNormArgs& args);
void batch_norm_gradient_sums(const Context& ctx, const BatchNormGradientSumsArgs& args);
void batch_norm_gradient(const Context& ctx, const BatchNormGradientArgs& args);
void batch_norm_track(const Context& ctx, const BatchNormTrackArgs& args);
}  // namespace cuda

}  // namespace gradmill
