#include "kernels/gram/gram.h"

#include <algorithm>
#include <vector>

#include "kernels/normal_system/normal_system.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kPanelRows = 64;
constexpr std::int64_t kMinBlockRows = 1024, kMaxBlocks = 32;
}  // namespace

void cpu::gram(const Context& ctx, const GramArgs& args) {
  const auto& y = args.factors;
  const std::int64_t k = y.cols;
  // The blocks depend on the rows alone, so the order of the sum does too.
  const std::int64_t block_rows = std::max(kMinBlockRows, (y.rows + kMaxBlocks - 1) / kMaxBlocks);
  const std::int64_t blocks = std::max<std::int64_t>(1, (y.rows + block_rows - 1) / block_rows);
  Workspace::Scope scratch(ctx);
  std::vector<NormalSystem> sums;
  for (std::int64_t b = 0; b < blocks; ++b)
    sums.emplace_back(k, scratch.take<float>(NormalSystem::memory_floats(k)).data);
  const std::int64_t stride = sums[0].stride(), panel_floats = kPanelRows * stride;
  float* panels = scratch.take<float>(panel_floats * ctx.threads().size()).data;
  std::fill_n(panels, panel_floats * ctx.threads().size(), 0.0f);

  ctx.threads().parallel_for(blocks, 1, [&](std::int64_t block, std::int64_t, int thread) {
    float* panel = panels + thread * panel_floats;
    const std::int64_t last = std::min(y.rows, (block + 1) * block_rows);
    for (std::int64_t row = block * block_rows; row < last; row += kPanelRows) {
      const std::int64_t count = std::min(kPanelRows, last - row);
      for (std::int64_t r = 0; r < count; ++r) std::copy_n(y.row(row + r), k, panel + r * stride);
      sums[static_cast<std::size_t>(block)].add_products(panel, panel, count, 1);
    }
    sums[static_cast<std::size_t>(block)].settle();
  });
  for (std::int64_t b = 1; b < blocks; ++b) sums[0].add(sums[static_cast<std::size_t>(b)]);
  for (std::int64_t r = 0; r < k; ++r)
    for (std::int64_t c = r; c < k; ++c)
      args.gram(r, c) = args.gram(c, r) = args.scale * sums[0].row(r)[c];
}

void gram(const Context& ctx, const GramArgs& args) {
  const std::int64_t k = args.factors.cols;
  require(args.gram.rows == k && args.gram.cols == k, "gram: {} factors but the result is {} x {}",
          k, args.gram.rows, args.gram.cols);
  run_kernel(ctx, "gram", args, cpu::gram, [](const auto& c, const auto& a) { cuda::gram(c, a); });
}

}  // namespace gradmill
