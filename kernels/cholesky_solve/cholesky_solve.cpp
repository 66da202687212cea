#include "kernels/cholesky_solve/cholesky_solve.h"

#include <Eigen/Cholesky>
#include <atomic>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {

void cpu::cholesky_solve(const Context& ctx, const CholeskySolveArgs& args) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const std::int64_t k = args.rhs.cols;
  std::atomic<std::int32_t> failures{0};
  ctx.threads().parallel_for(args.rhs.rows, 8, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t u = first; u < last; ++u) {
      Eigen::Map<Matrix> a(args.systems.row(u), k, k);
      Eigen::LLT<Eigen::Ref<Matrix>, Eigen::Lower> llt(a);
      Eigen::Map<Eigen::VectorXf> x(args.solutions.row(u), k);
      x = Eigen::Map<const Eigen::VectorXf>(args.rhs.row(u), k);
      if (llt.info() == Eigen::Success) {
        llt.solveInPlace(x);
      } else {
        x.setZero();
        ++failures;
      }
    }
  });
  args.failures[0] += failures.load();
}

void cholesky_solve(const Context& ctx, const CholeskySolveArgs& args) {
  const std::int64_t k = args.rhs.cols;
  require(args.systems.rows == args.rhs.rows && args.systems.cols == k * k &&
              args.solutions.rows == args.rhs.rows && args.solutions.cols == k,
          "cholesky_solve: {} systems of {} values, {} right-hand sides of {}, {} solutions of {}",
          args.systems.rows, args.systems.cols, args.rhs.rows, k, args.solutions.rows,
          args.solutions.cols);
  run_kernel(ctx, "cholesky_solve", args, cpu::cholesky_solve,
             [](const auto& c, const auto& a) { cuda::cholesky_solve(c, a); });
}

}  // namespace gradmill
