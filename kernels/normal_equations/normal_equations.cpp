#include "kernels/normal_equations/normal_equations.h"

#include <algorithm>

#include "kernels/normal_equations/for_each_system.h"
#include "runtime/expect.h"

namespace gradmill {

void cpu::normal_equations(const Context& ctx, const NormalEquationsArgs& args) {
  for_each_system(ctx, args, [&](std::int64_t u, const NormalSystem& system, int) {
    const std::int64_t m = system.size();
    float* a = args.systems.row(u);
    for (std::int64_t r = 0; r < m; ++r)
      for (std::int64_t c = 0; c <= r; ++c) a[r * m + c] = system.row(c)[r];
    std::copy_n(system.rhs(), m, args.rhs.row(u));
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
