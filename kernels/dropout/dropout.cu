#include "kernels/dropout/dropout.h"
#include "runtime/cuda_check.h"

namespace gradmill {
namespace {
constexpr int kThreads = 256;

/// A thread makes the four units of one call of Philox.
template <bool kBackward, class Args>
__global__ void dropout_kernel(Args args, MatrixView<const float> in,
                               MatrixView<const float> beside) {
  const std::int64_t groups = (in.cols + 3) / 4;
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= in.rows * groups) return;
  const std::int64_t row = at / groups, group = at % groups;
  const DropoutMask& mask = args.mask;
  const bool drops = mask.rate > 0;
  Philox4 bits{};
  if (drops) bits = dropout_bits(mask, mask.positions[row], group);
  const float keep = 1 / (1 - mask.rate);
  for (int i = 0; i < 4; ++i) {
    const std::int64_t unit = 4 * group + i;
    if (unit >= in.cols) break;
    float x = in(row, unit) * (!drops ? 1.0f : to_unit(bits.x[i]) >= mask.rate ? keep : 0.0f);
    if (beside.data) {
      if constexpr (kBackward)
        x *= activation_slope(args.activation, beside(row, unit));
      else
        x += beside(row, unit);
    }
    args.out(row, unit) = x;
  }
}

template <bool kBackward, class Args>
void launch(const Context& ctx, const Args& args, MatrixView<const float> in,
            MatrixView<const float> beside, const char* what) {
  const std::int64_t items = in.rows * ((in.cols + 3) / 4);
  dropout_kernel<kBackward>
      <<<static_cast<unsigned>((items + kThreads - 1) / kThreads), kThreads, 0, ctx.stream()>>>(
          args, in, beside);
  cuda_check(cudaGetLastError(), what);
}
}  // namespace

void cuda::dropout(const Context& ctx, const DropoutArgs& args) {
  launch<false>(ctx, args, args.in, args.skip, "launching dropout");
}

void cuda::dropout_gradient(const Context& ctx, const DropoutGradientArgs& args) {
  launch<true>(ctx, args, args.gradient, args.kept, "launching dropout_gradient");
}

}  // namespace gradmill
