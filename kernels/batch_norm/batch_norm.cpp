#include "kernels/batch_norm/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunkRows = 256, kGrain = 32;

/// sums[h], sums[H + h]: over all rows, of what `first` and `second` give for an element.
template <class First, class Second>
void column_sums(const Context& ctx, std::int64_t rows, std::int64_t units, VectorView<double> sums,
                 First&& first, Second&& second) {
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  Workspace::Scope scratch(ctx);
  double* parts = scratch.take<double>(chunks * 2 * units).data;
  ctx.threads().parallel_for(chunks, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t c = begin; c < end; ++c) {
      double* part = parts + c * 2 * units;
      std::fill_n(part, 2 * units, 0.0);
      for (std::int64_t b = c * kChunkRows; b < std::min(rows, (c + 1) * kChunkRows); ++b)
        for (std::int64_t h = 0; h < units; ++h) {
          part[h] += first(b, h);
          part[units + h] += second(b, h);
        }
    }
  });
  std::fill(sums.begin(), sums.end(), 0.0);
  for (std::int64_t c = 0; c < chunks; ++c)
    for (std::int64_t h = 0; h < 2 * units; ++h) sums[h] += parts[c * 2 * units + h];
}
}  // namespace

void cpu::batch_norm_sums(const Context& ctx, const BatchNormSumsArgs& args) {
  const auto x = [&](std::int64_t b, std::int64_t h) { return double{args.x(b, h)}; };
  column_sums(ctx, args.x.rows, args.x.cols, args.sums, x,
              [&](std::int64_t b, std::int64_t h) { return x(b, h) * x(b, h); });
}

void cpu::batch_norm(const Context& ctx, const BatchNormArgs& args) {
  const std::int64_t units = args.x.cols;
  Workspace::Scope scratch(ctx);
  float* means = scratch.take<float>(units).data;
  for (std::int64_t h = 0; h < units; ++h) {
    const Moments at = args.sums.size ? moments_of(args.sums, args.input[StepInput::rows], h)
                                      : Moments{double{args.mean[h]}, double{args.variance[h]}};
    means[h] = static_cast<float>(at.mean);
    args.inverse[h] = static_cast<float>(1 / std::sqrt(at.variance + double{args.epsilon}));
  }
  ctx.threads().parallel_for(args.x.rows, kGrain, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t b = first; b < last; ++b) {
      float *x = args.x.row(b), *out = args.out.row(b);
      for (std::int64_t h = 0; h < units; ++h) {
        x[h] = (x[h] - means[h]) * args.inverse[h];
        const float y = args.scale[h] * x[h] + args.shift[h];
        if (args.kept.data) args.kept(b, h) = y;
        out[h] = activate(args.activation, y);
      }
    }
  });
}

void cpu::batch_norm_gradient_sums(const Context& ctx, const BatchNormGradientSumsArgs& args) {
  const std::int64_t units = args.gradient.cols;
  column_sums(
      ctx, args.gradient.rows, units, args.sums,
      [&](std::int64_t b, std::int64_t h) { return double{args.gradient(b, h)}; },
      [&](std::int64_t b, std::int64_t h) {
        return double{args.gradient(b, h)} * args.normalized(b, h);
      });
  for (std::int64_t h = 0; h < units; ++h) {
    args.shift_gradient[h] = static_cast<float>(args.sums[h]);
    args.scale_gradient[h] = static_cast<float>(args.sums[units + h]);
  }
}

void cpu::batch_norm_gradient(const Context& ctx, const BatchNormGradientArgs& args) {
  const std::int64_t units = args.gradient.cols;
  const double rows = args.input[StepInput::rows];
  ctx.threads().parallel_for(args.gradient.rows, kGrain,
                             [&](std::int64_t first, std::int64_t last, int) {
                               for (std::int64_t b = first; b < last; ++b) {
                                 float* g = args.gradient.row(b);
                                 const float* n = args.normalized.row(b);
                                 for (std::int64_t h = 0; h < units; ++h)
                                   g[h] = args.scale[h] * args.inverse[h] *
                                          (g[h] - static_cast<float>(args.sums[h] / rows) -
                                           n[h] * static_cast<float>(args.sums[units + h] / rows));
                               }
                             });
}

void cpu::batch_norm_track(const Context&, const BatchNormTrackArgs& args) {
  if (!applies(args.state)) return;
  const double rows = args.input[StepInput::rows], part = args.momentum;
  for (std::int64_t h = 0; h < args.mean.size; ++h) {
    const Moments at = moments_of(args.sums, rows, h);
    const double unbiased = rows > 1 ? at.variance * rows / (rows - 1) : at.variance;
    args.mean[h] = static_cast<float>((1 - part) * args.mean[h] + part * at.mean);
    args.variance[h] = static_cast<float>((1 - part) * args.variance[h] + part * unbiased);
  }
}

void batch_norm_sums(const Context& ctx, const BatchNormSumsArgs& args) {
  require(args.sums.size == 2 * args.x.cols, "batch_norm_sums: {} units, {} sums", args.x.cols,
          args.sums.size);
  run_kernel(ctx, "batch_norm_sums", args, cpu::batch_norm_sums,
             [](const auto& c, const auto& a) { cuda::batch_norm_sums(c, a); });
}

void batch_norm(const Context& ctx, const BatchNormArgs& args) {
  const std::int64_t rows = args.x.rows, units = args.x.cols;
  require(args.sums.size ? args.sums.size == 2 * units && args.input.size == StepInput::count
                         : args.mean.size == units && args.variance.size == units,
          "batch_norm: {} units, {} sums, {} means", units, args.sums.size, args.mean.size);
  require(args.out.rows == rows && args.out.cols == units && args.scale.size == units &&
              args.shift.size == units && args.inverse.size == units,
          "batch_norm: [{}, {}] into [{}, {}], {} scales", rows, units, args.out.rows,
          args.out.cols, args.scale.size);
  if (units == 0) return;
  run_kernel(ctx, "batch_norm", args, cpu::batch_norm,
             [](const auto& c, const auto& a) { cuda::batch_norm(c, a); });
}

void batch_norm_gradient_sums(const Context& ctx, const BatchNormGradientSumsArgs& args) {
  const std::int64_t units = args.gradient.cols;
  require(args.normalized.rows == args.gradient.rows && args.normalized.cols == units &&
              args.sums.size == 2 * units && args.scale_gradient.size == units &&
              args.shift_gradient.size == units,
          "batch_norm_gradient_sums: [{}, {}], {} sums", args.gradient.rows, units, args.sums.size);
  run_kernel(ctx, "batch_norm_gradient_sums", args, cpu::batch_norm_gradient_sums,
             [](const auto& c, const auto& a) { cuda::batch_norm_gradient_sums(c, a); });
}

void batch_norm_gradient(const Context& ctx, const BatchNormGradientArgs& args) {
  const std::int64_t units = args.gradient.cols;
  require(args.normalized.rows == args.gradient.rows && args.normalized.cols == units &&
              args.sums.size == 2 * units && args.scale.size == units &&
              args.inverse.size == units && args.input.size == StepInput::count,
          "batch_norm_gradient: [{}, {}], {} sums", args.gradient.rows, units, args.sums.size);
  if (args.gradient.rows == 0 || units == 0) return;
  run_kernel(ctx, "batch_norm_gradient", args, cpu::batch_norm_gradient,
             [](const auto& c, const auto& a) { cuda::batch_norm_gradient(c, a); });
}

void batch_norm_track(const Context& ctx, const BatchNormTrackArgs& args) {
  require(args.sums.size == 2 * args.mean.size && args.variance.size == args.mean.size &&
              args.input.size == StepInput::count,
          "batch_norm_track: {} sums, {} means", args.sums.size, args.mean.size);
  if (args.mean.size == 0) return;
  run_kernel(ctx, "batch_norm_track", args, cpu::batch_norm_track,
             [](const auto& c, const auto& a) { cuda::batch_norm_track(c, a); });
}

}  // namespace gradmill
