#include "kernels/pair_dots/pair_dots.h"

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kGrain = 16;  // rows

void check(const char* op, std::int64_t dim, MatrixView<const float> vectors,
           MatrixView<const float> pairs) {
  require(dim > 0 && vectors.cols % dim == 0 && pairs.cols == num_pairs(vectors.cols / dim) &&
              pairs.rows == vectors.rows,
          "{}: vectors [{}, {}] of {}, pairs [{}, {}]", op, vectors.rows, vectors.cols, dim,
          pairs.rows, pairs.cols);
}
}  // namespace

void cpu::pair_dots(const Context& ctx, const PairDotsArgs& args) {
  const std::int64_t n = args.vectors.cols / args.dim;
  ctx.threads().parallel_for(args.vectors.rows, kGrain,
                             [&](std::int64_t first, std::int64_t last, int) {
                               for (std::int64_t b = first; b < last; ++b) {
                                 const float* x = args.vectors.row(b);
                                 float* out = args.out.row(b);
                                 for (std::int64_t j = 1; j < n; ++j)
                                   for (std::int64_t i = 0; i < j; ++i) {
                                     float sum = 0;
                                     for (std::int64_t k = 0; k < args.dim; ++k)
                                       sum += x[i * args.dim + k] * x[j * args.dim + k];
                                     *out++ = sum;
                                   }
                               }
                             });
}

void cpu::pair_dots_gradient(const Context& ctx, const PairDotsGradientArgs& args) {
  const std::int64_t n = args.vectors.cols / args.dim;
  ctx.threads().parallel_for(args.vectors.rows, kGrain,
                             [&](std::int64_t first, std::int64_t last, int) {
                               for (std::int64_t b = first; b < last; ++b)
                                 for (std::int64_t i = 0; i < n; ++i) {
                                   float* to = args.gradient.row(b) + i * args.dim;
                                   for (std::int64_t j = 0; j < n; ++j) {
                                     if (j == i) continue;
                                     const float slope = args.slopes(b, pair_place(i, j));
                                     const float* x = args.vectors.row(b) + j * args.dim;
                                     for (std::int64_t k = 0; k < args.dim; ++k)
                                       to[k] += slope * x[k];
                                   }
                                 }
                             });
}

void pair_dots(const Context& ctx, const PairDotsArgs& args) {
  check("pair_dots", args.dim, args.vectors, args.out);
  if (args.out.rows == 0 || args.out.cols == 0) return;
  run_kernel(ctx, "pair_dots", args, cpu::pair_dots,
             [](const auto& c, const auto& a) { cuda::pair_dots(c, a); });
}

void pair_dots_gradient(const Context& ctx, const PairDotsGradientArgs& args) {
  check("pair_dots_gradient", args.dim, args.vectors, args.slopes);
  require(args.gradient.rows == args.vectors.rows && args.gradient.cols == args.vectors.cols,
          "pair_dots_gradient: gradient [{}, {}]", args.gradient.rows, args.gradient.cols);
  if (args.slopes.rows == 0 || args.slopes.cols == 0) return;
  run_kernel(ctx, "pair_dots_gradient", args, cpu::pair_dots_gradient,
             [](const auto& c, const auto& a) { cuda::pair_dots_gradient(c, a); });
}

}  // namespace gradmill
