#include "kernels/ials_cg/ials_cg.h"

#include <Eigen/Core>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
using Vector = Eigen::VectorXf;
using Row = Eigen::Map<const Vector>;
constexpr float kConverged = 1e-20f;

/// A_u x without forming A_u.
Vector multiply(const IalsCgArgs& args, std::int64_t begin, std::int64_t end, float ridge_value,
                const Vector& x) {
  const std::int64_t k = args.factors.cols;
  Vector result = ridge_value * x;
  for (std::int64_t r = 0; r < k; ++r) result[r] += Row(args.base.row(r), k).dot(x);
  for (std::int64_t e = begin; e < end; ++e) {
    const Row y(args.factors.row(args.ratings.indices[e]), k);
    const float w =
        (args.weights.size ? args.weights[e] : 1.0f) * args.model.alpha * args.ratings.values[e];
    result += w * y.dot(x) * y;
  }
  return result;
}
}  // namespace

void cpu::ials_cg(const Context& ctx, const IalsCgArgs& args) {
  const std::int64_t k = args.factors.cols;
  ctx.threads().parallel_for(args.ratings.rows, 8, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t u = first; u < last; ++u) {
      Eigen::Map<Vector> solution(args.solutions.row(u), k);
      const std::int64_t begin = args.ratings.offsets[u], end = args.ratings.offsets[u + 1];
      if (begin == end) {
        solution.setZero();
        continue;
      }
      const float ridge_value = ridge(args.model, end - begin);
      Vector x = solution;
      Vector residual = -multiply(args, begin, end, ridge_value, x);
      for (std::int64_t e = begin; e < end; ++e) {
        const float w = (args.weights.size ? args.weights[e] : 1.0f) * args.model.alpha *
                        args.ratings.values[e];
        residual +=
            (args.model.unobserved_weight + w) * Row(args.factors.row(args.ratings.indices[e]), k);
      }
      Vector direction = residual;
      float old = residual.squaredNorm();
      for (int step = 0; step < args.steps && old > kConverged; ++step) {
        const Vector ap = multiply(args, begin, end, ridge_value, direction);
        const float length = old / direction.dot(ap);
        x += length * direction;
        residual -= length * ap;
        const float now = residual.squaredNorm();
        direction = residual + (now / old) * direction;
        old = now;
      }
      solution = x;
    }
  });
}

void ials_cg(const Context& ctx, const IalsCgArgs& args) {
  require(args.ratings.cols == args.factors.rows && args.solutions.rows == args.ratings.rows &&
              args.solutions.cols == args.factors.cols && args.base.rows == args.factors.cols,
          "ials_cg: ratings are {} x {}, factors {} x {}, solutions {} x {}, base {} x {}",
          args.ratings.rows, args.ratings.cols, args.factors.rows, args.factors.cols,
          args.solutions.rows, args.solutions.cols, args.base.rows, args.base.cols);
  run_kernel(ctx, "ials_cg", args, cpu::ials_cg,
             [](const auto& c, const auto& a) { cuda::ials_cg(c, a); });
}

}  // namespace gradmill
