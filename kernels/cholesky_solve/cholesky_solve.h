// Batched Cholesky solver for the small systems of alternating least squares.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// Solves A_u x_u = b_u for symmetric positive definite A_u, for every row u.
/// Shapes   systems [rows, k * k] lower triangles, destroyed; rhs [rows, k]; solutions [rows, k] (may be
///          rhs itself; padding up to the stride is left alone); failures [1], added to.
/// Range    1 <= k <= 257 (256 factors and a bias).
/// Errors   failures [1] counts rows whose matrix was not positive definite; their solution is 0.
/// Bytes    4 (k (k+1) / 2 + 2 k) per row.     FLOPs  k^3 / 3 + 2 k^2 per row.
/// Source   Golub, Van Loan, "Matrix Computations", 4th ed., alg. 4.2.1; batching after Haidar et al. 2015.
struct CholeskySolveArgs {
  MatrixView<float> systems;
  MatrixView<const float> rhs;
  MatrixView<float> solutions;
  VectorView<std::int32_t> failures;

  static constexpr Tolerance tolerance{1e-2, 1e-3};
  template <class V>
  void visit(V& v) {
    v.scratch("systems", systems);
    v.in("rhs", rhs);
    v.out("solutions", solutions);
    v.out("failures", failures);
  }
};
void cholesky_solve(const Context& ctx, const CholeskySolveArgs& args);
namespace cpu {
void cholesky_solve(const Context& ctx, const CholeskySolveArgs& args);
}
namespace cuda {
void cholesky_solve(const Context& ctx, const CholeskySolveArgs& args);
}

}  // namespace gradmill
