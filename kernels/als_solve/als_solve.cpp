#include "kernels/als_solve/als_solve.h"

#include <algorithm>
#include <atomic>

#include "kernels/normal_equations/for_each_system.h"
#include "runtime/expect.h"

namespace gradmill {

void cpu::als_solve(const Context& ctx, const AlsSolveArgs& args) {
  const std::int64_t k = args.factors.cols;
  const NormalEquationsArgs equations{
      args.ratings, args.weights, args.factors, args.biases, args.base, args.model, true, {}, {}};
  std::atomic<std::int32_t> failures{0};
  for_each_system(ctx, equations, [&](std::int64_t u, NormalSystem& system) {
    const bool empty = args.ratings.offsets[u] == args.ratings.offsets[u + 1];
    const bool solved = !empty && system.solve();
    if (!empty && !solved) ++failures;
    float* solution = args.solutions.row(u);
    if (solved)
      std::copy_n(system.solution(), k, solution);
    else
      std::fill_n(solution, k, 0.0f);
    if (args.solution_biases.size) args.solution_biases[u] = solved ? system.solution()[k] : 0.0f;
  });
  args.failures[0] += failures.load();
}

void als_solve(const Context& ctx, const AlsSolveArgs& args) {
  require(args.ratings.cols == args.factors.rows && args.solutions.rows == args.ratings.rows &&
              args.solutions.cols == args.factors.cols,
          "als_solve: ratings are {} x {}, factors {} x {}, solutions {} x {}", args.ratings.rows,
          args.ratings.cols, args.factors.rows, args.factors.cols, args.solutions.rows,
          args.solutions.cols);
  require(args.solution_biases.size == (args.biases.size ? args.ratings.rows : 0),
          "als_solve: {} biases and {} solution biases for {} rows", args.biases.size,
          args.solution_biases.size, args.ratings.rows);
  require(args.failures.size == 1, "als_solve: failures has {} values, 1 expected",
          args.failures.size);
  run_kernel(ctx, "als_solve", args, cpu::als_solve,
             [](const auto& c, const auto& a) { cuda::als_solve(c, a); });
}

}  // namespace gradmill
