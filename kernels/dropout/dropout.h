// Dropout of hidden units, what a residual connection adds behind it, and the way back through both and the
// activation.
#pragma once

#include "kernels/activations.h"
#include "kernels/step_state.h"
#include "runtime/check.h"
#include "runtime/random.h"

namespace gradmill {

/// Which units are dropped: a function of (seed, step, layer, the sample's place in the global batch, unit), so
/// the same on every device, on any number of ranks, and in the backward pass.
/// positions [B], in [0, 2^32); layer < 256; units < 2^26; steps < 2^32.
struct DropoutMask {
  float rate = 0;  // the share of units that are dropped, in [0, 1)
  std::uint64_t seed = 0;
  std::uint32_t step = 0, layer = 0;
  VectorView<const std::int32_t> positions;
  VectorView<const double> input;  // StepInput, whose step is taken then; or empty
};

/// Numbers of units 4 group .. 4 group + 3; unit 4 group + i is kept if to_unit(x[i]) >= rate.
GRADMILL_HD inline Philox4 dropout_bits(const DropoutMask& mask, std::int64_t position,
                                        std::int64_t group) {
  const std::uint32_t step =
      mask.input.size ? static_cast<std::uint32_t>(mask.input[StepInput::step]) : mask.step;
  return random_bits(mask.seed, RandomStream::dropout,
                     static_cast<std::uint64_t>(step) << 32 | static_cast<std::uint32_t>(position),
                     mask.layer << 24 | static_cast<std::uint32_t>(group));
}

/// out[b, h] = kept(b, h) ? in[b, h] / (1 - rate) : 0   + skip[b, h], if it has data.
/// Shapes   in, out, skip [B, H]; out may be in.     Bytes  8 B H (12 with skip).
/// Source   Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, JMLR 15, 2014 (scaled while training).
struct DropoutArgs {
  DropoutMask mask;
  MatrixView<const float> in;
  MatrixView<const float> skip;
  MatrixView<float> out;

  static constexpr Tolerance tolerance{1e-6, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("positions", mask.positions);
    v.in("step_input", mask.input);
    v.in("in", in);
    v.in("skip", skip);
    v.out("out", out);
  }
};
void dropout(const Context& ctx, const DropoutArgs& args);

/// out[b, h] = kept(b, h) ? gradient[b, h] / (1 - rate) activation_slope(kept[b, h]) : 0.
/// Shapes   gradient, kept, out [B, H]; out may be gradient; kept without data: slope 1.     Bytes  12 B H.
struct DropoutGradientArgs {
  DropoutMask mask;
  MatrixView<const float> gradient;
  Activation activation = Activation::identity;
  MatrixView<const float> kept;
  MatrixView<float> out;

  static constexpr Tolerance tolerance{1e-5, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("positions", mask.positions);
    v.in("step_input", mask.input);
    v.in("gradient", gradient);
    v.in("kept", kept);
    v.out("out", out);
  }
};
void dropout_gradient(const Context& ctx, const DropoutGradientArgs& args);

namespace cpu {
void dropout(const Context& ctx, const DropoutArgs& args);
void dropout_gradient(const Context& ctx, const DropoutGradientArgs& args);
}  // namespace cpu
namespace cuda {
void dropout(const Context& ctx, const DropoutArgs& args);
void dropout_gradient(const Context& ctx, const DropoutGradientArgs& args);
}  // namespace cuda

}  // namespace gradmill
