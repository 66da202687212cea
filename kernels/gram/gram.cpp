#include "kernels/gram/gram.h"

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {

void cpu::gram(const Context& ctx, const GramArgs& args) {
  const auto& y = args.factors;
  const std::int64_t k = y.cols;
  ctx.threads().parallel_for(k, 8, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t a = first; a < last; ++a) {
      for (std::int64_t b = 0; b < k; ++b) {
        double sum = 0;
        for (std::int64_t r = 0; r < y.rows; ++r) sum += static_cast<double>(y(r, a)) * y(r, b);
        args.gram(a, b) = static_cast<float>(args.scale * sum);
      }
    }
  });
}

void gram(const Context& ctx, const GramArgs& args) {
  const std::int64_t k = args.factors.cols;
  require(args.gram.rows == k && args.gram.cols == k, "gram: {} factors but the result is {} x {}",
          k, args.gram.rows, args.gram.cols);
  run_kernel(ctx, "gram", args, cpu::gram, [](const auto& c, const auto& a) { cuda::gram(c, a); });
}

}  // namespace gradmill
