#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <vector>

#include "kernels/gemm/gemm_finish.h"
#include "kernels/gemm/gemm_pack.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

// Source: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008:
// a panel of b stays in the first-level cache while rows of a stream past it from the second.

namespace gradmill {
namespace {
using simd::kLanes;
using simd::kPanelCols;
using simd::kPanelRows;
using simd::kPanelVecs;
using simd::Vec;

/// Rows of op(a) that one thread packs and uses at a time: whole panels, 140 KB at kGemmDepth.
constexpr std::int64_t kBlockRows = (140 / kPanelRows) * kPanelRows;

constexpr std::int64_t ceil_div(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }

/// sums[r][v] += over p of left[p][r] * right[p][v]
inline __attribute__((always_inline)) void multiply_panels(const float* left, const float* right,
                                                           std::int64_t depth,
                                                           Vec (&sums)[kPanelRows][kPanelVecs]) {
  for (std::int64_t p = 0; p < depth; ++p, left += kPanelRows, right += kPanelCols) {
    Vec values[kPanelVecs];
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVecs; ++v) values[v] = simd::load(right + v * kLanes);
#pragma GCC unroll 14
    for (int r = 0; r < kPanelRows; ++r) {
      const Vec scale = simd::broadcast(left[r]);
#pragma GCC unroll 2
      for (int v = 0; v < kPanelVecs; ++v) sums[r][v] += scale * values[v];
    }
  }
}

/// One tile of c: rows [row, row + rows), columns [col, col + cols).
struct TilePlace {
  std::int64_t row, rows, col, cols;
};

/// Adds a piece of the depth to a tile; the last piece finishes it.
template <GemmArgs::Finish kFinish>
void update_tile(const GemmArgs& args, const TilePlace& at, const float* left, const float* right,
                 std::int64_t depth, bool first, bool last) {
  Vec sums[kPanelRows][kPanelVecs] = {};
  multiply_panels(left, right, depth, sums);
  const bool add = !first || args.accumulate;
  alignas(64) float line[kPanelCols], kept[kPanelCols];
  for (int r = 0; r < at.rows; ++r) {
    float* to = args.c.row(at.row + r) + at.col;
    if (at.cols == kPanelCols && (kFinish == GemmArgs::Finish::none || !last)) {
#pragma GCC unroll 2
      for (int v = 0; v < kPanelVecs; ++v)
        simd::store(to + v * kLanes, add ? simd::load(to + v * kLanes) + sums[r][v] : sums[r][v]);
      continue;
    }
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVecs; ++v) simd::store(line + v * kLanes, sums[r][v]);
    if (add)
      for (std::int64_t c = 0; c < at.cols; ++c) line[c] += to[c];
    if (last) finish_line<kFinish>(args, at.row + r, at.col, at.cols, line, kept);
    std::copy_n(line, at.cols, to);
  }
}

void sum_rows(const GemmArgs& args, std::int64_t row, std::int64_t rows, std::int64_t depth,
              const float* packed, bool first) {
  float sums[kPanelRows] = {};
  for (std::int64_t p = 0; p < depth; ++p)
    for (int r = 0; r < kPanelRows; ++r) sums[r] += packed[p * kPanelRows + r];
  for (std::int64_t r = 0; r < rows; ++r)
    args.a_sums[row + r] = (first && !args.accumulate ? 0.0f : args.a_sums[row + r]) + sums[r];
}

/// One piece of the depth for a block of rows.
template <GemmArgs::Finish kFinish>
void update_block(const GemmArgs& args, std::int64_t block, std::int64_t p0, std::int64_t depth,
                  float* left, const float* right) {
  const std::int64_t m = args.m(), n = args.n(), begin = block * kBlockRows;
  const std::int64_t end = std::min(m, begin + kBlockRows);
  const bool first = p0 == 0, last = p0 + depth == args.depth();
  for (std::int64_t row = begin; row < end; row += kPanelRows) {
    float* panel = left + (row - begin) * depth;
    const std::int64_t rows = std::min<std::int64_t>(kPanelRows, end - row);
    simd::pack_panel(args.a, !args.transpose_a, row, rows, p0, depth, kPanelRows, panel);
    if (args.a_sums.size) sum_rows(args, row, rows, depth, panel, first);
  }
  for (std::int64_t col = 0; col < n; col += kPanelCols)
    for (std::int64_t row = begin; row < end; row += kPanelRows)
      update_tile<kFinish>(args,
                           {row, std::min<std::int64_t>(kPanelRows, end - row), col,
                            std::min<std::int64_t>(kPanelCols, n - col)},
                           left + (row - begin) * depth, right + col * depth, depth, first, last);
}

template <GemmArgs::Finish kFinish>
void multiply(const Context& ctx, const GemmArgs& args) {
  ThreadPool& pool = ctx.threads();
  const std::int64_t depth = args.depth();
  const std::int64_t panels = ceil_div(args.n(), kPanelCols),
                     blocks = ceil_div(args.m(), kBlockRows);
  const std::int64_t piece = std::min(kGemmDepth, depth);
  Workspace::Scope scratch(ctx);
  float* right = scratch.take<float>(panels * kPanelCols * piece).data;
  const std::int64_t left_floats = ceil_div(kBlockRows, kPanelRows) * kPanelRows * piece;
  float* left = scratch.take<float>(left_floats * pool.size()).data;
  for (std::int64_t p0 = 0; p0 < depth; p0 += piece) {
    const std::int64_t count = std::min(piece, depth - p0);
    pool.parallel_for(
        panels, ceil_div(panels, 2 * pool.size()), [&](std::int64_t begin, std::int64_t end, int) {
          for (std::int64_t panel = begin; panel < end; ++panel)
            simd::pack_panel(args.b, args.transpose_b, panel * kPanelCols,
                             std::min<std::int64_t>(kPanelCols, args.n() - panel * kPanelCols), p0,
                             count, kPanelCols, right + panel * kPanelCols * count);
        });
    pool.parallel_for(blocks, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
      for (std::int64_t block = begin; block < end; ++block)
        update_block<kFinish>(args, block, p0, count, left + thread * left_floats, right);
    });
  }
}

/// Of no products: zeros, finished.
template <GemmArgs::Finish kFinish>
void finish_zeros(const GemmArgs& args) {
  std::vector<float> line(static_cast<std::size_t>(args.n())), kept(line.size());
  for (std::int64_t row = 0; row < args.m(); ++row) {
    if (args.accumulate)
      std::copy_n(args.c.row(row), args.n(), line.data());
    else
      std::fill(line.begin(), line.end(), 0.0f);
    finish_line<kFinish>(args, row, 0, args.n(), line.data(), kept.data());
    std::copy_n(line.data(), args.n(), args.c.row(row));
  }
  if (!args.accumulate) std::fill(args.a_sums.begin(), args.a_sums.end(), 0.0f);
}

template <GemmArgs::Finish kFinish>
void run(const Context& ctx, const GemmArgs& args) {
  if (args.depth() == 0) return finish_zeros<kFinish>(args);
  multiply<kFinish>(ctx, args);
}
}  // namespace

void cpu::gemm(const Context& ctx, const GemmArgs& args) {
  switch (args.finish) {
    case GemmArgs::Finish::none:
      return run<GemmArgs::Finish::none>(ctx, args);
    case GemmArgs::Finish::bias_activation:
      return run<GemmArgs::Finish::bias_activation>(ctx, args);
    case GemmArgs::Finish::activation_gradient:
      return run<GemmArgs::Finish::activation_gradient>(ctx, args);
  }
}

void gemm(const Context& ctx, const GemmArgs& args) {
  const std::int64_t m = args.m(), n = args.n();
  const std::int64_t b_depth = args.transpose_b ? args.b.cols : args.b.rows;
  require(!(args.transpose_a && args.transpose_b), "gemm: both sides transposed");
  require(args.depth() == b_depth && args.c.rows == m && args.c.cols == n,
          "gemm: [{}, {}] times [{}, {}] into [{}, {}]", m, args.depth(), b_depth, n, args.c.rows,
          args.c.cols);
  require(args.bias.size == 0 || args.bias.size == n, "gemm: {} columns but {} biases", n,
          args.bias.size);
  require(args.a_sums.size == 0 || args.a_sums.size == m, "gemm: {} rows but {} sums", m,
          args.a_sums.size);
  require(!args.kept.data || (args.kept.rows == m && args.kept.cols == n),
          "gemm: [{}, {}] but kept is [{}, {}]", m, n, args.kept.rows, args.kept.cols);
  require(args.precision == GemmPrecision::fp32 || ctx.is_cuda(),
          "gemm: products of the CPU are of single precision");
  require(args.finish != GemmArgs::Finish::activation_gradient || args.kept.data || m * n == 0 ||
              args.activation == Activation::identity ||
              (args.mask.data && args.activation == Activation::relu),
          "gemm: a gradient of activations needs what they kept");
  if (m == 0 || (n == 0 && !args.a_sums.size)) return;
  run_kernel(ctx, "gemm", args, cpu::gemm, [](const auto& c, const auto& a) { cuda::gemm(c, a); });
}

}  // namespace gradmill
