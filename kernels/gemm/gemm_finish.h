// What happens to a line of a product before it is stored.
#pragma once

#include "kernels/gemm/gemm.h"
#include "kernels/simd.h"

namespace gradmill {

/// line [count] are the elements (row, col), (row, col + 1), …; finished in place. `kept` is scratch [count].
template <GemmArgs::Finish kFinish>
inline void finish_line(const GemmArgs& args, std::int64_t row, std::int64_t col,
                        std::int64_t count, float* line, float* kept) {
  if constexpr (kFinish == GemmArgs::Finish::bias_activation) {
    if (args.bias.size)
      for (std::int64_t c = 0; c < count; ++c) line[c] += args.bias[col + c];
    if (args.kept.data) std::copy_n(line, count, args.kept.row(row) + col);
    if (args.activation == Activation::relu) {
      for (std::int64_t c = 0; c < count; ++c) line[c] = line[c] > 0 ? line[c] : 0.0f;
    } else if (args.activation != Activation::identity) {
      for (std::int64_t c = 0; c < count; ++c) line[c] = activate(args.activation, line[c]);
    }
  } else if constexpr (kFinish == GemmArgs::Finish::activation_gradient) {
    if (args.activation == Activation::identity) return;
    std::copy_n(args.kept.row(row) + col, count, kept);
    if (args.activation == Activation::relu) {
      for (std::int64_t c = 0; c < count; ++c) line[c] = kept[c] > 0 ? line[c] : 0.0f;
    } else {
      for (std::int64_t c = 0; c < count; ++c)
        line[c] *= activation_slope(args.activation, kept[c]);
    }
  }
}

}  // namespace gradmill
