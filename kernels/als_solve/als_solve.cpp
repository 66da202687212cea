#include "kernels/als_solve/als_solve.h"

#include <algorithm>

#include "kernels/cholesky_solve/cholesky_solve.h"
#include "runtime/expect.h"
#include "runtime/workspace.h"

namespace gradmill {

void cpu::als_solve(const Context& ctx, const AlsSolveArgs& args) {
  const std::int64_t k = args.factors.cols, m = k + (args.biases.size ? 1 : 0);
  constexpr std::int64_t kTile = 256;
  for (std::int64_t first = 0; first < args.ratings.rows; first += kTile) {
    const std::int64_t rows = std::min(kTile, args.ratings.rows - first);
    Workspace::Scope scratch(ctx);
    MatrixView<float> systems{scratch.take<float>(rows * m * m).data, rows, m * m, m * m, {}};
    MatrixView<float> rhs{scratch.take<float>(rows * m).data, rows, m, m, {}};
    CsrView<const float> part = args.ratings;
    part.rows = rows;
    part.offsets += first;
    cpu::normal_equations(ctx, {part, args.weights, args.factors, args.biases, args.base,
                                args.model, true, systems, rhs});
    cpu::cholesky_solve(ctx, {systems, rhs, rhs, args.failures});
    for (std::int64_t r = 0; r < rows; ++r) {
      const bool empty = part.offsets[r] == part.offsets[r + 1];
      for (std::int64_t c = 0; c < k; ++c) args.solutions(first + r, c) = empty ? 0.0f : rhs(r, c);
      if (m > k) args.solution_biases[first + r] = empty ? 0.0f : rhs(r, k);
    }
  }
}

void als_solve(const Context& ctx, const AlsSolveArgs& args) {
  require(args.ratings.cols == args.factors.rows && args.solutions.rows == args.ratings.rows &&
              args.solutions.cols == args.factors.cols,
          "als_solve: ratings are {} x {}, factors {} x {}, solutions {} x {}", args.ratings.rows,
          args.ratings.cols, args.factors.rows, args.factors.cols, args.solutions.rows,
          args.solutions.cols);
  require((args.biases.size == 0) == (args.solution_biases.size == 0),
          "als_solve: biases without solution_biases");
  require(args.failures.size == 1, "als_solve: failures has {} values, 1 expected",
          args.failures.size);
  run_kernel(ctx, "als_solve", args, cpu::als_solve,
             [](const auto& c, const auto& a) { cuda::als_solve(c, a); });
}

}  // namespace gradmill
