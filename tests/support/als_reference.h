// Double-precision references of the alternating least squares kernels: written from their
// contracts as plainly as possible, to test the fast ones against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/als_solve/als_solve.h"
#include "kernels/gram/gram.h"
#include "kernels/ials_cg/ials_cg.h"
#include "kernels/normal_equations/normal_equations.h"
#include "runtime/view.h"

namespace gradmill::testing {

/// One row's system: a [size, size], full and symmetric, and b [size].
struct ReferenceSystem {
  std::int64_t size = 0;
  std::vector<double> a, b;
  double& at(std::int64_t r, std::int64_t c) { return a[static_cast<std::size_t>(r * size + c)]; }
};

/// What entry e of a row contributes: weight_a y yᵀ to A and weight_b y to b.
struct ReferenceEntry {
  const float* y;
  double weight_a, weight_b;
};

/// scale * YᵀY, [k, k].
inline std::vector<double> reference_gram(MatrixView<const float> factors, double scale) {
  const std::int64_t k = factors.cols;
  std::vector<double> gram(static_cast<std::size_t>(k * k));
  for (std::int64_t n = 0; n < factors.rows; ++n)
    for (std::int64_t r = 0; r < k; ++r)
      for (std::int64_t c = 0; c < k; ++c)
        gram[static_cast<std::size_t>(r * k + c)] +=
            scale * static_cast<double>(factors(n, r)) * factors(n, c);
  return gram;
}

/// Args: NormalEquationsArgs, AlsSolveArgs or IalsCgArgs.
template <class Args>
ReferenceEntry reference_entry(const Args& args, std::int64_t e) {
  const auto& model = args.model;
  const std::int32_t column = args.ratings.indices[e];
  const double r = args.ratings.values[e], w = args.weights.size ? args.weights[e] : 1.0;
  double bias = 0;
  if constexpr (requires { args.biases; }) bias = args.biases.size ? args.biases[column] : 0.0;
  if (model.implicit)
    return {args.factors.row(column), w * model.alpha * r,
            static_cast<double>(model.unobserved_weight) + w * model.alpha * r};
  return {args.factors.row(column), w, w * (r - model.offset - bias)};
}

inline double reference_ridge(const AlsWeights& model, std::int64_t entries) {
  return static_cast<double>(model.regularization) *
         std::pow(static_cast<double>(entries) + model.ridge_offset,
                  static_cast<double>(model.ridge_exponent));
}

/// The system of row u; with_ridge adds base and ridge.
template <class Args>
ReferenceSystem reference_system(const Args& args, std::int64_t u, bool with_ridge = true) {
  const std::int64_t k = args.factors.cols;
  bool biased = false;
  if constexpr (requires { args.biases; }) biased = args.biases.size > 0;
  ReferenceSystem s;
  s.size = k + (biased ? 1 : 0);
  s.a.assign(static_cast<std::size_t>(s.size * s.size), 0.0);
  s.b.assign(static_cast<std::size_t>(s.size), 0.0);
  const std::int64_t begin = args.ratings.offsets[u], end = args.ratings.offsets[u + 1];
  for (std::int64_t e = begin; e < end; ++e) {
    const ReferenceEntry entry = reference_entry(args, e);
    const auto y = [&](std::int64_t c) { return c < k ? static_cast<double>(entry.y[c]) : 1.0; };
    for (std::int64_t r = 0; r < s.size; ++r) {
      for (std::int64_t c = 0; c < s.size; ++c) s.at(r, c) += entry.weight_a * y(r) * y(c);
      s.b[static_cast<std::size_t>(r)] += entry.weight_b * y(r);
    }
  }
  if (!with_ridge) return s;
  for (std::int64_t r = 0; r < s.size; ++r) {
    if (args.base.rows)
      for (std::int64_t c = 0; c < s.size; ++c) s.at(r, c) += args.base(r, c);
    s.at(r, r) += reference_ridge(args.model, end - begin);
  }
  return s;
}

/// x with A x = b by Cholesky; empty if A is not positive definite.
inline std::vector<double> reference_solve(ReferenceSystem s) {
  const std::int64_t m = s.size;
  for (std::int64_t c = 0; c < m; ++c) {
    for (std::int64_t j = 0; j < c; ++j) s.at(c, c) -= s.at(c, j) * s.at(c, j);
    if (!(s.at(c, c) > 0)) return {};
    s.at(c, c) = std::sqrt(s.at(c, c));
    for (std::int64_t r = c + 1; r < m; ++r) {
      for (std::int64_t j = 0; j < c; ++j) s.at(r, c) -= s.at(r, j) * s.at(c, j);
      s.at(r, c) /= s.at(c, c);
    }
  }
  std::vector<double> x = s.b;
  for (std::int64_t r = 0; r < m; ++r) {
    for (std::int64_t c = 0; c < r; ++c)
      x[static_cast<std::size_t>(r)] -= s.at(r, c) * x[static_cast<std::size_t>(c)];
    x[static_cast<std::size_t>(r)] /= s.at(r, r);
  }
  for (std::int64_t r = m - 1; r >= 0; --r) {
    for (std::int64_t c = r + 1; c < m; ++c)
      x[static_cast<std::size_t>(r)] -= s.at(c, r) * x[static_cast<std::size_t>(c)];
    x[static_cast<std::size_t>(r)] /= s.at(r, r);
  }
  return x;
}

/// Row u's solution of als_solve [m]: zeros for a row without ratings; empty if not positive
/// definite.
inline std::vector<double> reference_als_row(const AlsSolveArgs& args, std::int64_t u) {
  ReferenceSystem s = reference_system(args, u);
  if (args.ratings.offsets[u] == args.ratings.offsets[u + 1])
    return std::vector<double>(static_cast<std::size_t>(s.size), 0.0);
  return reference_solve(std::move(s));
}

/// Row u's solution of ials_cg [m], from the present args.solutions[u] (and solution_biases[u]).
inline std::vector<double> reference_ials_cg_row(const IalsCgArgs& args, std::int64_t u) {
  ReferenceSystem s = reference_system(args, u);
  const auto size = static_cast<std::size_t>(s.size);
  std::vector<double> x(args.solutions.row(u), args.solutions.row(u) + args.factors.cols);
  if (args.biases.size) x.push_back(args.solution_biases[u]);
  if (args.ratings.offsets[u] == args.ratings.offsets[u + 1]) return std::vector<double>(size, 0.0);
  const auto multiply = [&](const std::vector<double>& v) {
    std::vector<double> product(size, 0.0);
    for (std::size_t r = 0; r < size; ++r)
      for (std::size_t c = 0; c < size; ++c) product[r] += s.a[r * size + c] * v[c];
    return product;
  };
  const auto dot = [&](const std::vector<double>& p, const std::vector<double>& q) {
    double sum = 0;
    for (std::size_t r = 0; r < size; ++r) sum += p[r] * q[r];
    return sum;
  };
  std::vector<double> residual = multiply(x);
  for (std::size_t r = 0; r < size; ++r) residual[r] = s.b[r] - residual[r];
  std::vector<double> direction = residual;
  double old = dot(residual, residual);
  for (int step = 0; step < args.steps && old > 1e-20; ++step) {
    const std::vector<double> ap = multiply(direction);
    const double length = old / dot(direction, ap);
    for (std::size_t r = 0; r < size; ++r) {
      x[r] += length * direction[r];
      residual[r] -= length * ap[r];
    }
    const double now = dot(residual, residual);
    for (std::size_t r = 0; r < size; ++r) direction[r] = residual[r] + now / old * direction[r];
    old = now;
  }
  return x;
}

}  // namespace gradmill::testing
