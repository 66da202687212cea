#include "kernels/layer_norm/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunkRows = 64;

void normalize_row(const LayerNormArgs& args, std::int64_t row) {
  const std::int64_t units = args.x.cols;
  float* x = args.x.row(row);
  double sum = 0, squares = 0;
  for (std::int64_t h = 0; h < units; ++h) sum += double{x[h]};
  const double mean = sum / static_cast<double>(units);
  for (std::int64_t h = 0; h < units; ++h) squares += (double{x[h]} - mean) * (double{x[h]} - mean);
  const double variance = squares / static_cast<double>(units);
  const auto inverse = static_cast<float>(1 / std::sqrt(variance + double{args.epsilon}));
  args.inverse[row] = inverse;
  const auto middle = static_cast<float>(mean);
  float* out = args.out.row(row);
  for (std::int64_t h = 0; h < units; ++h) {
    x[h] = (x[h] - middle) * inverse;
    out[h] = args.scale[h] * x[h] + args.shift[h];
  }
  if (args.kept.data) std::copy_n(out, units, args.kept.row(row));
  for (std::int64_t h = 0; h < units; ++h) out[h] = activate(args.activation, out[h]);
}

/// sums [2 H] of a chunk: what it adds to the gradients of scale and shift.
void gradient_rows(const LayerNormGradientArgs& args, std::int64_t first, std::int64_t last,
                   float* sums) {
  const std::int64_t units = args.gradient.cols;
  std::fill_n(sums, 2 * units, 0.0f);
  for (std::int64_t row = first; row < last; ++row) {
    float* g = args.gradient.row(row);
    const float* n = args.normalized.row(row);
    double sum = 0, products = 0;
    for (std::int64_t h = 0; h < units; ++h) {
      sums[h] += g[h] * n[h];
      sums[units + h] += g[h];
      const double t = double{g[h]} * double{args.scale[h]};
      sum += t;
      products += t * double{n[h]};
    }
    const auto mean = static_cast<float>(sum / static_cast<double>(units));
    const auto along = static_cast<float>(products / static_cast<double>(units));
    const float inverse = args.inverse[row];
    for (std::int64_t h = 0; h < units; ++h)
      g[h] = inverse * (g[h] * args.scale[h] - mean - n[h] * along);
  }
}
}  // namespace

void cpu::layer_norm(const Context& ctx, const LayerNormArgs& args) {
  ctx.threads().parallel_for(args.x.rows, 16, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t row = first; row < last; ++row) normalize_row(args, row);
  });
}

void cpu::layer_norm_gradient(const Context& ctx, const LayerNormGradientArgs& args) {
  const std::int64_t rows = args.gradient.rows, units = args.gradient.cols;
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  Workspace::Scope scratch(ctx);
  float* sums = scratch.take<float>(chunks * 2 * units).data;
  ctx.threads().parallel_for(chunks, 1, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t c = first; c < last; ++c)
      gradient_rows(args, c * kChunkRows, std::min(rows, (c + 1) * kChunkRows),
                    sums + c * 2 * units);
  });
  if (!args.accumulate) {
    std::fill(args.scale_gradient.begin(), args.scale_gradient.end(), 0.0f);
    std::fill(args.shift_gradient.begin(), args.shift_gradient.end(), 0.0f);
  }
  for (std::int64_t c = 0; c < chunks; ++c)
    for (std::int64_t h = 0; h < units; ++h) {
      args.scale_gradient[h] += sums[c * 2 * units + h];
      args.shift_gradient[h] += sums[c * 2 * units + units + h];
    }
}

void layer_norm(const Context& ctx, const LayerNormArgs& args) {
  const std::int64_t rows = args.x.rows, units = args.x.cols;
  require(args.out.rows == rows && args.out.cols == units && args.scale.size == units &&
              args.shift.size == units && args.inverse.size == rows,
          "layer_norm: [{}, {}] into [{}, {}], {} scales, {} shifts, {} inverses", rows, units,
          args.out.rows, args.out.cols, args.scale.size, args.shift.size, args.inverse.size);
  require(!args.kept.data || (args.kept.rows == rows && args.kept.cols == units),
          "layer_norm: kept [{}, {}]", args.kept.rows, args.kept.cols);
  if (rows == 0 || units == 0) return;
  run_kernel(ctx, "layer_norm", args, cpu::layer_norm,
             [](const auto& c, const auto& a) { cuda::layer_norm(c, a); });
}

void layer_norm_gradient(const Context& ctx, const LayerNormGradientArgs& args) {
  const std::int64_t rows = args.gradient.rows, units = args.gradient.cols;
  require(args.normalized.rows == rows && args.normalized.cols == units &&
              args.scale.size == units && args.inverse.size == rows &&
              args.scale_gradient.size == units && args.shift_gradient.size == units,
          "layer_norm_gradient: [{}, {}] of [{}, {}]", rows, units, args.normalized.rows,
          args.normalized.cols);
  if (units == 0) return;
  run_kernel(ctx, "layer_norm_gradient", args, cpu::layer_norm_gradient,
             [](const auto& c, const auto& a) { cuda::layer_norm_gradient(c, a); });
}

}  // namespace gradmill
