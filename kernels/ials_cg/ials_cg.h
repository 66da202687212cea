// One half-step of alternating least squares by a few conjugate gradient steps per row, warm-started.
#pragma once

#include "kernels/normal_equations/normal_equations.h"

namespace gradmill {

/// For each row u, `steps` CG steps on A_u x = b_u (AlsWeights) from the present solutions[u],
/// without forming A_u: A_u p = base p + ridge p + sum a y (y . p), a the weight of y yᵀ there. Stops early when
/// the squared residual falls below 1e-20. A row without ratings gives 0, and a bias of 0.
/// Shapes   as AlsSolveArgs; base [k, k] or empty. With biases (then without base) x ends with the row's own bias
///          and y with 1.
/// Bytes    8 nnz + 4 k nnz gathered once (rows that fit stay on chip) + 8 k per row. CUDA: a row that shared
///          memory holds (about 340 ratings at 64 and 128 factors) is a block's; longer ones are formed
///          as normal equations by chunks and take the same steps on A_u itself, which gathers once too
///          and spreads a long row over blocks. Above 128 factors, where forming costs more than it saves,
///          only rows longer than a chunk (heavy_chunk) are formed, the others are gathered again (from
///          L2) for each product. 3 launches for a window of formed rows' sums. At most 256 factors.
/// FLOPs    (steps + 1) (4 k nnz + 2 k^2 rows, these only with a base). The CPU spares 2 k nnz of the last step: nobody needs its
///          residual. CUDA: k (k + 1) for each rating of a formed row.
/// Order    bits depend only on the arguments, not on the number of threads.
/// Source   Takács, Pilászy, Tikk, "Applications of the conjugate gradient method for implicit feedback
///          collaborative filtering", RecSys'11.
struct IalsCgArgs {
  CsrView<const float> ratings;
  VectorView<const float> weights;
  MatrixView<const float> factors;
  VectorView<const float> biases;
  MatrixView<const float> base;
  AlsWeights model;
  int steps = 3;
  MatrixView<float> solutions;
  VectorView<float> solution_biases;

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
  }
};
void ials_cg(const Context& ctx, const IalsCgArgs& args);
namespace cpu {
void ials_cg(const Context& ctx, const IalsCgArgs& args);
}
namespace cuda {
void ials_cg(const Context& ctx, const IalsCgArgs& args);
}

}  // namespace gradmill
