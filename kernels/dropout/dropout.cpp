#include "kernels/dropout/dropout.h"

#include <algorithm>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kRows = 8;  // that a thread takes at a time

/// factors[i] = 1 / (1 - rate) or 0 for the units first .. first + count of a sample; first is a multiple of 4.
void mask_factors(const DropoutMask& mask, std::int64_t row, std::int64_t first, std::int64_t count,
                  float* factors) {
  const float keep = 1 / (1 - mask.rate);
  for (std::int64_t i = 0; i < count; i += 4) {
    const Philox4 bits = dropout_bits(mask, mask.positions[row], (first + i) / 4);
    for (std::int64_t j = 0; j < 4; ++j)
      factors[i + j] = to_unit(bits.x[j]) >= mask.rate ? keep : 0.0f;
  }
}

/// body(row, first, count, factors) for pieces of all rows.
template <class Body>
void masked_pieces(const Context& ctx, const DropoutMask& mask, std::int64_t rows,
                   std::int64_t units, Body&& body) {
  constexpr std::int64_t kPiece = 64;
  ctx.threads().parallel_for(rows, kRows, [&](std::int64_t begin, std::int64_t end, int) {
    float factors[kPiece];
    std::fill_n(factors, kPiece, 1.0f);
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t first = 0; first < units; first += kPiece) {
        const std::int64_t count = std::min(kPiece, units - first);
        if (mask.rate > 0) mask_factors(mask, row, first, count, factors);
        body(row, first, count, factors);
      }
  });
}
}  // namespace

void cpu::dropout(const Context& ctx, const DropoutArgs& args) {
  masked_pieces(
      ctx, args.mask, args.in.rows, args.in.cols,
      [&](std::int64_t row, std::int64_t first, std::int64_t count, const float* factors) {
        const float* in = args.in.row(row) + first;
        float* out = args.out.row(row) + first;
        for (std::int64_t i = 0; i < count; ++i) out[i] = factors[i] * in[i];
        if (!args.skip.data) return;
        const float* skip = args.skip.row(row) + first;
        for (std::int64_t i = 0; i < count; ++i) out[i] += skip[i];
      });
}

void cpu::dropout_gradient(const Context& ctx, const DropoutGradientArgs& args) {
  masked_pieces(
      ctx, args.mask, args.gradient.rows, args.gradient.cols,
      [&](std::int64_t row, std::int64_t first, std::int64_t count, const float* factors) {
        const float* in = args.gradient.row(row) + first;
        float* out = args.out.row(row) + first;
        for (std::int64_t i = 0; i < count; ++i) out[i] = factors[i] * in[i];
        if (!args.kept.data) return;
        const float* kept = args.kept.row(row) + first;
        for (std::int64_t i = 0; i < count; ++i)
          out[i] *= activation_slope(args.activation, kept[i]);
      });
}

namespace {
void check_shapes(const char* op, const DropoutMask& mask, MatrixView<const float> in,
                  MatrixView<const float> beside, MatrixView<const float> out) {
  require(out.rows == in.rows && out.cols == in.cols, "{}: [{}, {}] into [{}, {}]", op, in.rows,
          in.cols, out.rows, out.cols);
  require(!beside.data || (beside.rows == in.rows && beside.cols == in.cols),
          "{}: [{}, {}] beside [{}, {}]", op, in.rows, in.cols, beside.rows, beside.cols);
  require(mask.rate >= 0 && mask.rate < 1 && mask.layer < 256, "{}: rate {}, layer {}", op,
          mask.rate, mask.layer);
  require(mask.rate == 0 || mask.positions.size == in.rows, "{}: {} rows, {} positions", op,
          in.rows, mask.positions.size);
}
}  // namespace

void dropout(const Context& ctx, const DropoutArgs& args) {
  check_shapes("dropout", args.mask, args.in, args.skip, args.out);
  if (args.in.rows == 0 || args.in.cols == 0) return;
  run_kernel(ctx, "dropout", args, cpu::dropout,
             [](const auto& c, const auto& a) { cuda::dropout(c, a); });
}

void dropout_gradient(const Context& ctx, const DropoutGradientArgs& args) {
  check_shapes("dropout_gradient", args.mask, args.gradient, args.kept, args.out);
  if (args.gradient.rows == 0 || args.gradient.cols == 0) return;
  run_kernel(ctx, "dropout_gradient", args, cpu::dropout_gradient,
             [](const auto& c, const auto& a) { cuda::dropout_gradient(c, a); });
}

}  // namespace gradmill
