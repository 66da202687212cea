#include "kernels/top_k/top_k.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {

void cpu::top_k(const Context& ctx, const TopKArgs& args) {
  const std::int64_t items = args.items.rows, k = args.items.cols;
  ctx.threads().parallel_for(args.queries.rows, 8, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<float> scores(static_cast<std::size_t>(items));
    std::vector<std::int32_t> order(static_cast<std::size_t>(items));
    for (std::int64_t q = first; q < last; ++q) {
      for (std::int64_t i = 0; i < items; ++i) {
        float score = args.item_biases.size ? args.item_biases[i] : 0.0f;
        for (std::int64_t f = 0; f < k; ++f) score += args.queries(q, f) * args.items(i, f);
        scores[static_cast<std::size_t>(i)] = score;
      }
      constexpr float kNever = -std::numeric_limits<float>::infinity();
      if (args.excluded.rows)
        for (std::int64_t e = args.excluded.offsets[q]; e < args.excluded.offsets[q + 1]; ++e)
          scores[static_cast<std::size_t>(args.excluded.indices[e])] = kNever;
      std::iota(order.begin(), order.end(), 0);
      const std::int64_t wanted = std::min<std::int64_t>(args.count, items);
      std::partial_sort(order.begin(), order.begin() + wanted, order.end(),
                        [&](std::int32_t a, std::int32_t b) {
                          const float sa = scores[static_cast<std::size_t>(a)],
                                      sb = scores[static_cast<std::size_t>(b)];
                          return sa != sb ? sa > sb : a < b;
                        });
      for (std::int64_t c = 0; c < args.count; ++c) {
        const std::int32_t item = c < wanted ? order[static_cast<std::size_t>(c)] : -1;
        const float score = item < 0 ? kNever : scores[static_cast<std::size_t>(item)];
        args.out_items(q, c) = score == kNever ? -1 : item;
        args.out_scores(q, c) = score;
      }
    }
  });
}

void top_k(const Context& ctx, const TopKArgs& args) {
  require(args.queries.cols == args.items.cols, "top_k: queries have {} factors but items have {}",
          args.queries.cols, args.items.cols);
  require(args.count >= 1 && args.count <= 1024, "top_k: count is {}, 1 to 1024 expected",
          args.count);
  require(args.excluded.rows == 0 || args.excluded.rows == args.queries.rows,
          "top_k: {} queries but {} excluded rows", args.queries.rows, args.excluded.rows);
  run_kernel(ctx, "top_k", args, cpu::top_k,
             [](const auto& c, const auto& a) { cuda::top_k(c, a); });
}

}  // namespace gradmill
