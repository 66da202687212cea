#include "kernels/ials_cg/ials_cg.h"

#include <algorithm>
#include <vector>

#include "kernels/ials_cg/cg_block.h"
#include "kernels/normal_equations/row_ranges.h"
#include "kernels/simd.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {

void cpu::ials_cg(const Context& ctx, const IalsCgArgs& args) {
  if (args.ratings.rows == 0) return;
  const std::int64_t k = args.factors.cols, stride = simd::row_stride(k);
  const NormalEquationsArgs equations{args.ratings, args.weights, args.factors, args.biases, {},
                                      args.model,   true,         {},           {}};
  Workspace::Scope scratch(ctx);
  float* base = args.base.rows ? scratch.take<float>(k * stride).data : nullptr;
  std::fill_n(base, args.base.rows * stride, 0.0f);
  for (std::int64_t r = 0; r < args.base.rows; ++r)
    std::copy_n(args.base.row(r), k, base + r * stride);
  std::vector<CgBlock> blocks;
  for (int t = 0; t < ctx.threads().size(); ++t)
    blocks.emplace_back(args, equations, base, scratch.take<float>(CgBlock::memory_floats(k)).data);

  const auto ranges = row_ranges(args.ratings, k / 2 + 8, ctx.threads().size());
  ctx.threads().parallel_for(static_cast<std::int64_t>(ranges.size()) - 1, 1,
                             [&](std::int64_t range, std::int64_t, int thread) {
                               CgBlock& block = blocks[static_cast<std::size_t>(thread)];
                               const auto r = static_cast<std::size_t>(range);
                               for (std::int64_t row = ranges[r]; row < ranges[r + 1]; ++row) {
                                 if (args.ratings.offsets[row] == args.ratings.offsets[row + 1]) {
                                   std::fill_n(args.solutions.row(row), k, 0.0f);
                                   if (args.biases.size) args.solution_biases[row] = 0;
                                   continue;
                                 }
                                 block.add(row);
                               }
                               block.solve();
                             });
}

void ials_cg(const Context& ctx, const IalsCgArgs& args) {
  require(args.ratings.cols == args.factors.rows && args.solutions.rows == args.ratings.rows &&
              args.solutions.cols == args.factors.cols &&
              (args.base.rows == 0 || args.base.rows == args.factors.cols),
          "ials_cg: ratings are {} x {}, factors {} x {}, solutions {} x {}, base {} x {}",
          args.ratings.rows, args.ratings.cols, args.factors.rows, args.factors.cols,
          args.solutions.rows, args.solutions.cols, args.base.rows, args.base.cols);
  require(args.biases.size == 0 || args.base.rows == 0, "ials_cg: biases and a base");
  require(args.solution_biases.size == (args.biases.size ? args.ratings.rows : 0),
          "ials_cg: {} biases and {} solution biases for {} rows", args.biases.size,
          args.solution_biases.size, args.ratings.rows);
  run_kernel(ctx, "ials_cg", args, cpu::ials_cg,
             [](const auto& c, const auto& a) { cuda::ials_cg(c, a); });
}

}  // namespace gradmill
