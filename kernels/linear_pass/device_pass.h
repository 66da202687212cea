// What the CUDA side of the linear kernels shares.
#pragma once

#include "kernels/sample_matrix.h"
#include "runtime/context.h"

namespace gradmill::cuda {

/// to[c, r] = from[r, c].
void transpose(const Context& ctx, const MatrixView<const float>& from,
               const MatrixView<float>& to);

/// scores[r, c] = <x_r, coefficients[c]>, by cuBLAS.
void dense_scores(const Context& ctx, const MatrixView<const float>& x,
                  const MatrixView<const float>& coefficients, const MatrixView<float>& scores);

/// product[c, j] = sum_r t[r, c] x[r, j] (squared: x^2) over all samples; reads the columns of a sparse matrix.
void transposed_product(const Context& ctx, const SampleMatrix& matrix,
                        const MatrixView<const float>& t, bool squared,
                        const MatrixView<double>& product);

/// sums[c] = sum_r t[r, c].
void column_sums(const Context& ctx, const MatrixView<const float>& t,
                 const VectorView<double>& sums);

}  // namespace gradmill::cuda
