#include "kernels/embedding_average/embedding_average.h"

#include <cmath>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {

void cpu::embedding_average(const Context& ctx, const EmbeddingAverageArgs& args) {
  const bool all = args.count.size == 0;
  if (!all && !applies(args.state)) return;
  const std::int32_t goal = average_goal(args);
  const std::int64_t rows = all ? args.table.rows : args.count[0];
  ctx.threads().parallel_for(rows, 64, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t u = first; u < last; ++u) {
      const std::int64_t row = all ? u : args.ids[u];
      const std::int32_t gap = goal - args.at[row];
      args.at[row] = goal;
      if (gap <= 0) continue;
      const float keep = std::pow(args.decay, static_cast<float>(gap));
      for (std::int64_t k = 0; k < args.table.cols; ++k)
        args.averages(row, k) = keep * args.averages(row, k) + (1 - keep) * args.table(row, k);
    }
  });
}

void embedding_average(const Context& ctx, const EmbeddingAverageArgs& args) {
  require(args.averages.rows == args.table.rows && args.averages.cols == args.table.cols &&
              args.at.size == args.table.rows && args.state.size == StepState::count &&
              args.count.size == (args.ids.size ? 1 : 0),
          "embedding_average: [{}, {}] of [{}, {}], {} steps", args.averages.rows,
          args.averages.cols, args.table.rows, args.table.cols, args.at.size);
  if (args.table.rows == 0) return;
  run_kernel(ctx, "embedding_average", args, cpu::embedding_average,
             [](const auto& c, const auto& a) { cuda::embedding_average(c, a); });
}

}  // namespace gradmill
