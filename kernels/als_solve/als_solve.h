// One half-step of alternating least squares: build and solve every row's normal equations.
#pragma once

#include "kernels/normal_equations/normal_equations.h"

namespace gradmill {

/// solutions[u] = argmin of row u's regularized least squares against fixed factors (AlsWeights).
/// A row without ratings gives 0, and a bias of 0.
/// Shapes   as NormalEquationsArgs; solutions [rows, k], stride >= k, padding left alone;
///          biases and solution_biases: both or neither (NormalEquationsArgs);
///          failures [1]: rows that were not positive definite are counted and set to 0.
/// Effects  CPU: fused per row, the system stays in cache. CUDA: systems are built and solved in one kernel
///          and stay on chip; only chunk sums of heavy rows pass through memory, about 1 to k / 4 bytes a
///          rating, at most workspace_bytes at a time. Two launches unless they need more. At most 256 factors.
/// Bytes    8 nnz + 4 k nnz gathered once + 4 k per row.    FLOPs  nnz (k (k+1) + 2 k) + rows (k^3 / 3 + 2 k^2).
/// Order    bits depend only on the arguments.
struct AlsSolveArgs {
  CsrView<const float> ratings;
  VectorView<const float> weights;
  MatrixView<const float> factors;
  VectorView<const float> biases;
  MatrixView<const float> base;
  AlsWeights model;
  MatrixView<float> solutions;
  VectorView<float> solution_biases;
  VectorView<std::int32_t> failures;
  std::int64_t workspace_bytes = std::int64_t{1} << 30;

  static constexpr Tolerance tolerance{1e-2, 1e-3};
  template <class V>
  void visit(V& v) {
    v.in("ratings", ratings);
    v.in("weights", weights);
    v.in("factors", factors);
    v.in("biases", biases);
    v.in("base", base);
    v.out("solutions", solutions);
    v.out("solution_biases", solution_biases);
    v.out("failures", failures);
  }
};
void als_solve(const Context& ctx, const AlsSolveArgs& args);
namespace cpu {
void als_solve(const Context& ctx, const AlsSolveArgs& args);
}
namespace cuda {
void als_solve(const Context& ctx, const AlsSolveArgs& args);
}

}  // namespace gradmill
