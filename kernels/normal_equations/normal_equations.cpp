#include "kernels/normal_equations/normal_equations.h"

#include <vector>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {

void cpu::normal_equations(const Context& ctx, const NormalEquationsArgs& args) {
  const std::int64_t k = args.factors.cols, m = k + (args.biases.size ? 1 : 0);
  ctx.threads().parallel_for(args.ratings.rows, 8, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<float> y(static_cast<std::size_t>(m));
    for (std::int64_t u = first; u < last; ++u) {
      float* a = args.systems.row(u);
      float* b = args.rhs.row(u);
      std::fill(a, a + m * m, 0.0f);
      std::fill(b, b + m, 0.0f);
      const std::int64_t begin = args.ratings.offsets[u], end = args.ratings.offsets[u + 1];
      for (std::int64_t e = begin; e < end; ++e) {
        const std::int32_t i = args.ratings.indices[e];
        const float r = args.ratings.values[e], w = args.weights.size ? args.weights[e] : 1.0f;
        std::copy_n(args.factors.row(i), k, y.begin());
        if (m > k) y[static_cast<std::size_t>(k)] = 1;
        const float in_a = args.model.implicit ? w * args.model.alpha * r : w;
        const float in_b = args.model.implicit
                               ? args.model.unobserved_weight + in_a
                               : w * (r - args.model.offset - (m > k ? args.biases[i] : 0.0f));
        for (std::int64_t p = 0; p < m; ++p) {
          const float yp = y[static_cast<std::size_t>(p)];
          for (std::int64_t q = 0; q <= p; ++q)
            a[p * m + q] += in_a * yp * y[static_cast<std::size_t>(q)];
          b[p] += in_b * yp;
        }
      }
      if (!args.add_ridge) continue;
      const float extra = ridge(args.model, end - begin);
      for (std::int64_t p = 0; p < m; ++p) {
        if (args.base.rows)
          for (std::int64_t q = 0; q <= p; ++q) a[p * m + q] += args.base(p, q);
        a[p * m + p] += extra;
      }
    }
  });
}

void normal_equations(const Context& ctx, const NormalEquationsArgs& args) {
  const std::int64_t k = args.factors.cols, m = k + (args.biases.size ? 1 : 0);
  require(args.ratings.cols == args.factors.rows,
          "normal_equations: ratings have {} columns but factors {} rows", args.ratings.cols,
          args.factors.rows);
  require(
      args.systems.rows == args.ratings.rows && args.systems.cols == m * m && args.rhs.cols == m,
      "normal_equations: {} systems of {} values for {} rows of size {}", args.systems.rows,
      args.systems.cols, args.ratings.rows, m);
  require(args.base.rows == 0 || (args.base.rows == k && m == k),
          "normal_equations: base is {} x {}, factors {}", args.base.rows, args.base.cols, k);
  run_kernel(ctx, "normal_equations", args, cpu::normal_equations,
             [](const auto& c, const auto& a) { cuda::normal_equations(c, a); });
}

}  // namespace gradmill
