// Operations on the long vectors of a full-batch optimizer: rows of one table, in double precision.
// Regularization and signs concern the first `regularized` elements only; the intercepts behind them
// are free.
#pragma once

#include <cstdint>

#include "runtime/check.h"

namespace gradmill {

inline constexpr int kMaxVectorPairs = 96, kMaxVectorTerms = 48;

struct VectorPair {
  std::int16_t a, b;
};
/// results[k] = <vectors[a_k], vectors[b_k]>.
/// Shapes   vectors [R, P], row stride >= P; num_pairs <= kMaxVectorPairs; results [num_pairs].
/// Bytes    each row that occurs once: 8 P.     FLOPs  2 P a pair.
/// Order    fixed chunks of 4096 elements, added in order.
struct VectorDotsArgs {
  MatrixView<const double> vectors;
  VectorPair pairs[kMaxVectorPairs];
  int num_pairs = 0;
  VectorView<double> results;

  static constexpr Tolerance tolerance{1e-9, 1e-12};
  template <class V>
  void visit(V& v) {
    v.in("vectors", vectors);
    v.out("results", results);
  }
};

struct VectorTerm {
  std::int32_t row;
  double factor;
};
/// vectors[into] = sum_k factor_k vectors[row_k]; `into` may be one of the rows. No terms: zeros.
/// Shapes   vectors [R, P]; num_terms <= kMaxVectorTerms; `rounded` [>= P] or empty: also written there as float.
/// Bytes    8 P a term + 8 P (+ 4 P).     Order  in the order of the terms.
struct VectorCombineArgs {
  MatrixView<double> vectors;
  std::int32_t into = 0;
  VectorTerm terms[kMaxVectorTerms];
  int num_terms = 0;
  VectorView<float> rounded;

  static constexpr Tolerance tolerance{1.2e-7, 1e-12};  // a last place of `rounded`
  template <class V>
  void visit(V& v) {
    v.out("vectors", vectors);
    v.out("rounded", rounded);
  }
};

/// gradient = scale gradient + l2 x on the regularized elements, scale gradient behind them;
/// value[0] = l2 / 2 |x|^2 + l1 |x|_1 over the regularized elements.
/// Shapes   x, gradient [P]; value [1].     Bytes  24 P.     Order  as VectorDotsArgs.
struct RegularizeArgs {
  VectorView<const double> x;
  std::int64_t regularized = 0;
  double scale = 1, l1 = 0, l2 = 0;
  VectorView<double> gradient;
  VectorView<double> value;

  static constexpr Tolerance tolerance{1e-9, 1e-12};
  template <class V>
  void visit(V& v) {
    v.in("x", x);
    v.out("gradient", gradient);
    v.out("value", value);
  }
};

/// vectors[into] = vectors[numerator] / (1 - share + share vectors[diagonal]).
/// Shapes   vectors [R, P]; rows may coincide.     Bytes  24 P.
struct PreconditionArgs {
  MatrixView<double> vectors;
  std::int32_t into = 0, numerator = 0, diagonal = 0;
  double share = 1;

  static constexpr Tolerance tolerance{1e-12, 1e-12};
  template <class V>
  void visit(V& v) {
    v.out("vectors", vectors);
  }
};

/// vectors[into] = the pseudo-gradient of f + l1 |x|_1, with g = vectors[gradient], x = vectors[x]:
///   g + l1 sign(x) if x != 0; else g + l1 if g < -l1, g - l1 if g > l1, 0 between; g behind the
///   regularized elements.
/// Source   Andrew, Gao, "Scalable training of L1-regularized log-linear models", ICML'07, eq. 4.
struct PseudoGradientArgs {
  MatrixView<double> vectors;
  std::int32_t into = 0, x = 0, gradient = 0;
  std::int64_t regularized = 0;
  double l1 = 0;

  static constexpr Tolerance tolerance{1e-12, 1e-12};
  template <class V>
  void visit(V& v) {
    v.out("vectors", vectors);
  }
};

/// A step of OWL-QN within an orthant. With x, d = direction, p = pseudo-gradient at x:
///   d' = d if d p < 0 or the element is not regularized, else 0;
///   o  = sign(x), or -sign(p) where x is 0;
///   vectors[into] = x + step d' where its sign is o (or the element is not regularized), else 0.
/// `rounded` [>= P] or empty: also written there as float.     Source  as PseudoGradientArgs.
struct OrthantStepArgs {
  MatrixView<double> vectors;
  std::int32_t into = 0, x = 0, direction = 0, pseudo_gradient = 0;
  std::int64_t regularized = 0;
  double step = 1;
  VectorView<float> rounded;

  static constexpr Tolerance tolerance{1.2e-7, 1e-12};  // a last place of `rounded`
  template <class V>
  void visit(V& v) {
    v.out("vectors", vectors);
    v.out("rounded", rounded);
  }
};

/// Between the solver's order of columns and the user's: with j over [0, n), c over [0, C):
///   forward   user(c, order[j]) = inner(j, c);      backward   inner(j, c) = user(c, order[j]).
/// Shapes   inner [n, C] (feature-major; row stride >= C); user [C, n]; order [n] or empty: j.
struct ReorderColumnsArgs {
  MatrixView<float> inner;
  MatrixView<float> user;
  VectorView<const std::int32_t> order;
  bool backward = false;

  static constexpr Tolerance tolerance{0, 0};
  template <class V>
  void visit(V& v) {
    v.out("inner", inner);
    v.out("user", user);
    v.in("order", order);
  }
};

/// total[0] = sum of values, in fixed chunks of 4096 added in order.
struct SumArgs {
  VectorView<const float> values;
  VectorView<double> total;

  static constexpr Tolerance tolerance{1e-9, 1e-9};
  template <class V>
  void visit(V& v) {
    v.in("values", values);
    v.out("total", total);
  }
};

void vector_dots(const Context& ctx, const VectorDotsArgs& args);
void vector_combine(const Context& ctx, const VectorCombineArgs& args);
void regularize(const Context& ctx, const RegularizeArgs& args);
void precondition(const Context& ctx, const PreconditionArgs& args);
void pseudo_gradient(const Context& ctx, const PseudoGradientArgs& args);
void orthant_step(const Context& ctx, const OrthantStepArgs& args);
void reorder_columns(const Context& ctx, const ReorderColumnsArgs& args);
void sum(const Context& ctx, const SumArgs& args);
namespace cpu {
void vector_dots(const Context& ctx, const VectorDotsArgs& args);
void vector_combine(const Context& ctx, const VectorCombineArgs& args);
void regularize(const Context& ctx, const RegularizeArgs& args);
void precondition(const Context& ctx, const PreconditionArgs& args);
void pseudo_gradient(const Context& ctx, const PseudoGradientArgs& args);
void orthant_step(const Context& ctx, const OrthantStepArgs& args);
void reorder_columns(const Context& ctx, const ReorderColumnsArgs& args);
void sum(const Context& ctx, const SumArgs& args);
}  // namespace cpu
namespace cuda {
void vector_dots(const Context& ctx, const VectorDotsArgs& args);
void vector_combine(const Context& ctx, const VectorCombineArgs& args);
void regularize(const Context& ctx, const RegularizeArgs& args);
void precondition(const Context& ctx, const PreconditionArgs& args);
void pseudo_gradient(const Context& ctx, const PseudoGradientArgs& args);
void orthant_step(const Context& ctx, const OrthantStepArgs& args);
void reorder_columns(const Context& ctx, const ReorderColumnsArgs& args);
void sum(const Context& ctx, const SumArgs& args);
}  // namespace cuda

}  // namespace gradmill
