// Normal equations of alternating least squares, one system for each row of ratings.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// What one rating r contributes to a row's system, and what regularizes it:
///   explicit: A += w y yᵀ,           b += w r y          (w: sample weight, 1 without weights)
///   implicit: A += w alpha r y yᵀ,   b += (unobserved_weight + w alpha r) y   and A += base once
///   both:     A += ridge I with ridge = regularization * (entries + ridge_offset)^ridge_exponent
/// Explicit ALS-WR is ridge_exponent 1 (Zhou et al. 2008); Hu-Koren-Volinsky is ridge_exponent 0.
struct AlsWeights {
  bool implicit = false;
  bool biased = false;  // explicit only, see NormalEquationsArgs
  float alpha = 1;
  float unobserved_weight = 1;
  float regularization = 0.1f;
  float ridge_exponent = 1;
  float ridge_offset = 0;  // unobserved_weight * rows of the other side in the scaled implicit form
};

/// For each row u of ratings: A_u [k, k] and b_u [k] as in AlsWeights, y = factors of the row's entries.
/// biased: the last factor column is the bias of the other side. In every gathered row it is taken as
///   an offset of the target (r - y[k-1]) and replaced by 1, so that the solution's last value is this
///   row's own bias. The other side's biases are thereby held fixed, as its factors are.
/// Shapes   ratings [rows, n] CSR; weights [nnz] or empty, indexed like ratings.values; factors [n, k];
///          base [k, k] or empty (implicit: unobserved_weight * YᵀY);
///          systems [rows, k * k]: row u is A_u, row-major k x k, lower triangle valid; rhs [rows, k].
/// Effects  overwrites systems' lower triangles and rhs. add_ridge = false leaves out base and ridge:
///          partial sums that ranks add up before solving.
/// Bytes    8 nnz (index, value) + 8 rows + 4 k per rating gathered once + 4 (k (k+1) / 2 + k) per row.
/// FLOPs    nnz (k (k + 1) + 2 k).
/// Order    each row's ratings are summed in a fixed order whatever the threads or the grid: heavy
///          rows in fixed chunks that are then added in order. No atomics.
/// Source   Zhou, Wilkinson, Schreiber, Pan, "Large-scale parallel collaborative filtering for the
///          Netflix Prize", AAIM'08; Hu et al., ICDM'08.
struct NormalEquationsArgs {
  CsrView<const float> ratings;
  VectorView<const float> weights;
  MatrixView<const float> factors;
  MatrixView<const float> base;
  AlsWeights model;
  bool add_ridge = true;
  MatrixView<float> systems;
  MatrixView<float> rhs;

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    v.in("ratings", ratings);
    v.in("weights", weights);
    v.in("factors", factors);
    v.in("base", base);
    v.scratch("systems", systems);  // the upper triangles hold anything
    v.out("rhs", rhs);
  }
};
void normal_equations(const Context& ctx, const NormalEquationsArgs& args);

}  // namespace gradmill
