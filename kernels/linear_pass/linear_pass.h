// Loops over samples that the CPU side of the linear kernels shares.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/sample_matrix.h"
#include "runtime/context.h"

namespace gradmill {

/// Floats in a row of a feature-major table [features, C]: whole vectors if C > 1.
std::int64_t table_stride(std::int64_t outputs);

/// margins[r, c] = <x_(first + r), table[:, c]> for count rows; both have table.stride floats a row.
/// table [features, C] feature-major; stride table_stride(C).
void dot_rows(const SampleMatrix& matrix, std::int64_t first, std::int64_t count,
              MatrixView<const float> table, float* margins);

/// table[j, c] += factors[r, c] x[first + r, j] (squared: x^2) for count rows in order. Rows whose
/// factors are all 0 cost nothing. factors has table.stride floats a row, those beyond C are 0.
void scatter_rows(const SampleMatrix& matrix, std::int64_t first, std::int64_t count,
                  const float* factors, bool squared, MatrixView<float> table);

/// Rows that are handled together: so few that their entries stay in the cache between dot and scatter.
std::int64_t group_rows(const SampleMatrix& matrix);

/// One read of all samples:   m[i, c] = <x_i, coefficients[c]>;   t[i, :] = factors(m[i, :]);
///   product[c] = sum_i t[i, c] x_i (squared: x_i^2);   intercept_product[c] = sum_i t[i, c].
/// In blocks of samples that depend on the matrix alone, each with its own sums in single precision, which
/// are then added in order in double precision.
struct LinearPass {
  SampleMatrix matrix;
  MatrixView<const float> coefficients;  // [C, n]; no data: margins are not computed
  MatrixView<double> product;            // [C, n]
  VectorView<double> intercept_product;  // [C]
  bool squared = false;
};
/// factors(first, count, m, t): of rows first .. first + count; m and t have table_stride(C) floats a
/// row; t is zero beyond C. Returns a value; linear_pass gives their sum. Called by several threads.
using RowFactors =
    std::function<double(std::int64_t first, std::int64_t count, const float* m, float* t)>;
double linear_pass(const Context& ctx, const LinearPass& pass, const RowFactors& factors);

/// The table that dot_rows wants of coefficients [C, n]: themselves if C = 1, else transposed into
/// storage [n table_stride(C)].
MatrixView<const float> feature_major(const Context& ctx, MatrixView<const float> coefficients,
                                      VectorView<float> storage);

}  // namespace gradmill
