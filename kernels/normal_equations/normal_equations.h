// Normal equations of alternating least squares, one system for each row of ratings.
#pragma once

#include <cmath>

#include "runtime/check.h"

namespace gradmill {

/// What one rating r contributes to a row's system, and what regularizes it:
///   explicit: A += w y yᵀ,           b += w (r - offset) y   (w: sample weight, 1 without weights)
///   implicit: A += w alpha r y yᵀ,   b += (unobserved_weight + w alpha r) y   and A += base once
///   both:     A += ridge I with ridge = regularization * (entries + ridge_offset)^ridge_exponent
/// Explicit ALS-WR is ridge_exponent 1 (Zhou et al. 2008); Hu-Koren-Volinsky is ridge_exponent 0.
struct AlsWeights {
  bool implicit = false;
  float alpha = 1;
  float unobserved_weight = 1;
  float regularization = 0.1f;
  float ridge_exponent = 1;
  float offset = 0;        // explicit: subtracted from every rating (the global mean)
  float ridge_offset = 0;  // unobserved_weight * rows of the other side in the scaled implicit form
};

/// For each row u of ratings: A_u [k, k] and b_u [k] as in AlsWeights, y = factors of the row's entries.
/// biases (explicit only, not empty): the other side's biases. The target becomes r - offset - bias of
///   the entry, and y gets a last component 1, so that the solution's last value is this row's own
///   bias; the system then has size m = k + 1, else m = k.
/// Shapes   ratings [rows, n] CSR; weights [nnz] or empty, indexed like ratings.values; factors [n, k];
///          biases [n] or empty; base [k, k] or empty (implicit: unobserved_weight * YᵀY);
///          systems [rows, m * m]: row u is A_u, row-major m x m, lower triangle valid; rhs [rows, m].
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
  VectorView<const float> biases;
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
    v.in("biases", biases);
    v.in("base", base);
    v.scratch("systems", systems);  // the upper triangles hold anything
    v.out("rhs", rhs);
  }
};
void normal_equations(const Context& ctx, const NormalEquationsArgs& args);
namespace cpu {
void normal_equations(const Context& ctx, const NormalEquationsArgs& args);
}
namespace cuda {
void normal_equations(const Context& ctx, const NormalEquationsArgs& args);
}

/// The ridge of a row with this many ratings.
GRADMILL_HD inline float ridge(const AlsWeights& model, std::int64_t entries) {
  const float count = static_cast<float>(entries) + model.ridge_offset;
  return model.regularization * (model.ridge_exponent == 0   ? 1.0f
                                 : model.ridge_exponent == 1 ? count
                                                             : powf(count, model.ridge_exponent));
}

}  // namespace gradmill
