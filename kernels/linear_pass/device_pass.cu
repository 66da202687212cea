#include "kernels/linear_pass/device_pass.h"

#include <cublas_v2.h>

#include <algorithm>

#include "kernels/linear_pass/dense_pass.cuh"
#include "kernels/linear_pass/segment_rows.cuh"
#include "kernels/linear_pass/segment_sums.cuh"
#include "runtime/error.h"

namespace gradmill::cuda {
namespace {
constexpr int kTransposeTile = 32, kTransposeRows = 8;
constexpr std::int64_t kSumRows = 1024;      // a block's of column_sums
constexpr std::int64_t kProductRows = 8192;  // summed in single precision by cuBLAS
constexpr std::int64_t kLeastSteps = 256, kMostSteps = 2048, kPieces = 16384;  // of warps

template <class T>
__global__ void __launch_bounds__(kTransposeTile* kTransposeRows)
    transpose_kernel(MatrixView<const T> from, MatrixView<T> to) {
  __shared__ T tile[kTransposeTile][kTransposeTile + 1];
  const int x = threadIdx.x % kTransposeTile, y = threadIdx.x / kTransposeTile;
  // The long side has the grid's long dimension.
  const bool tall = from.rows >= from.cols;
  const std::int64_t r0 = std::int64_t{tall ? blockIdx.x : blockIdx.y} * kTransposeTile,
                     c0 = std::int64_t{tall ? blockIdx.y : blockIdx.x} * kTransposeTile;
  for (int i = y; i < kTransposeTile; i += kTransposeRows)
    if (r0 + i < from.rows && c0 + x < from.cols) tile[i][x] = from(r0 + i, c0 + x);
  __syncthreads();
  for (int i = y; i < kTransposeTile; i += kTransposeRows)
    if (c0 + i < from.cols && r0 + x < from.rows) to(c0 + i, r0 + x) = tile[x][i];
}

template <class T>
void transpose_matrix(const Context& ctx, const MatrixView<const T>& from,
                      const MatrixView<T>& to) {
  if (from.rows == 0 || from.cols == 0) return;
  const auto tiles = [](std::int64_t size) {
    return static_cast<unsigned>(ceil_div<std::int64_t>(size, kTransposeTile));
  };
  const dim3 grid(tiles(std::max(from.rows, from.cols)), tiles(std::min(from.rows, from.cols)));
  transpose_kernel<T><<<grid, kTransposeTile * kTransposeRows, 0, ctx.stream()>>>(from, to);
  cuda_check(cudaGetLastError(), "launch a transposition");
}

/// A lane for each column, a warp for every eighth row of the block's.
__global__ void __launch_bounds__(kSumThreads)
    column_sums_kernel(MatrixView<const float> t, double* partial) {
  constexpr int kWarps = kSumThreads / kWarp;
  __shared__ double sums[kWarps][kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::int64_t c = std::int64_t{blockIdx.y} * kWarp + lane, first = blockIdx.x * kSumRows;
  double sum = 0;
  for (std::int64_t r = first + warp; r < min(first + kSumRows, t.rows) && c < t.cols; r += kWarps)
    sum += t(r, c);
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || c >= t.cols) return;
  for (int w = 1; w < kWarps; ++w) sum += sums[w][lane];
  partial[blockIdx.x * t.cols + c] = sum;
}

struct StoreProduct {
  static constexpr int kPartials = 0;
  double* product;
  __device__ float operator()(std::int64_t row, double sum, Partials<0>&) const {
    product[row] = sum;
    return 0;
  }
};

struct StoreProducts {
  MatrixView<double> product;  // [features, C]
  __device__ void operator()(std::int64_t row, std::int64_t c, double sum) const {
    product(row, c) = sum;
  }
  __device__ void finish(std::int64_t) const {}
};

/// t_r as it is stored.
struct StoredFactor {
  static constexpr int kPartials = 0;
  MatrixView<const float> t;
  std::int64_t output;
  __device__ float operator()(std::int64_t row, double, Partials<0>&) const {
    return t(row, output);
  }
};

template <bool kSquared>
void sparse_product(const Context& ctx, const CsrView<const float>& columns,
                    const MatrixView<const float>& t, const MatrixView<double>& product) {
  if (t.cols == 1)
    return segment_sums<kManyGroups, kSquared>(ctx, Segments(columns), t.data, t.stride,
                                               StoreProduct{product.data});
  Workspace::Scope scratch(ctx);
  const MatrixView<double> by_feature{scratch.take<double>(columns.rows * t.cols).data,
                                      columns.rows, t.cols, t.cols, ctx.device()};
  // Long pieces leave fewer sums open.
  const Segments segments(columns);
  const std::int64_t steps =
      std::clamp(ceil_div(segments.most_steps(), kPieces), kLeastSteps, kMostSteps);
  segment_rows<kSquared>(ctx, segments, t, steps, StoreProducts{by_feature});
  transpose_matrix<double>(ctx, by_feature, product);
}

template <bool kSquared>
void one_dense_product(const Context& ctx, const MatrixView<const float>& x,
                       const MatrixView<const float>& t, std::int64_t output, double* product) {
  MatrixView<const float> column = t;
  column.data += output;
  dense_pass<false, true, kSquared>(ctx, x, nullptr, StoredFactor{t, output}, column, product,
                                    nullptr);
}

/// Row chunks by cuBLAS in single precision, their products added up in double precision.
void dense_product(const Context& ctx, const MatrixView<const float>& x,
                   const MatrixView<const float>& t, const MatrixView<double>& product) {
  const std::int64_t n = x.cols, outputs = t.cols, chunks = ceil_div(x.rows, kProductRows);
  Workspace::Scope scratch(ctx);
  float* partial = scratch.take<float>(chunks * n * outputs).data;
  const auto multiply = [&](std::int64_t first, std::int64_t rows, std::int64_t count) {
    const float one = 1, zero = 0;
    cublas_check(
        cublasSgemmStridedBatched(
            ctx.blas(), CUBLAS_OP_N, CUBLAS_OP_T, static_cast<int>(n), static_cast<int>(outputs),
            static_cast<int>(rows), &one, x.row(first * kProductRows), static_cast<int>(x.stride),
            kProductRows * x.stride, t.row(first * kProductRows), static_cast<int>(t.stride),
            kProductRows * t.stride, &zero, partial + first * n * outputs, static_cast<int>(n),
            n * outputs, static_cast<int>(count)),
        "multiply slopes and dense rows");
  };
  const std::int64_t whole = x.rows / kProductRows;
  if (whole) multiply(0, kProductRows, whole);
  if (x.rows % kProductRows) multiply(whole, x.rows % kProductRows, 1);
  if (product.stride == n) return sum_parts(ctx, partial, chunks, n * outputs, product.data);
  double* sums = scratch.take<double>(n * outputs).data;
  sum_parts(ctx, partial, chunks, n * outputs, sums);
  cuda_check(
      cudaMemcpy2DAsync(product.data, static_cast<std::size_t>(8 * product.stride), sums,
                        static_cast<std::size_t>(8 * n), static_cast<std::size_t>(8 * n),
                        static_cast<std::size_t>(outputs), cudaMemcpyDeviceToDevice, ctx.stream()),
      "copy products");
}
}  // namespace

void transpose(const Context& ctx, const MatrixView<const float>& from,
               const MatrixView<float>& to) {
  transpose_matrix(ctx, from, to);
}

void dense_scores(const Context& ctx, const MatrixView<const float>& x,
                  const MatrixView<const float>& coefficients, const MatrixView<float>& scores) {
  if (x.rows == 0) return;
  if (x.cols == 0) {
    const std::int64_t floats = (scores.rows - 1) * scores.stride + scores.cols;
    return ctx.zero(scores.data, static_cast<std::size_t>(4 * floats));
  }
  const float one = 1, zero = 0;
  cublas_check(
      cublasSgemm(ctx.blas(), CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(coefficients.rows),
                  static_cast<int>(x.rows), static_cast<int>(x.cols), &one, coefficients.data,
                  static_cast<int>(coefficients.stride), x.data, static_cast<int>(x.stride), &zero,
                  scores.data, static_cast<int>(scores.stride)),
      "multiply dense rows and coefficients");
}

void transposed_product(const Context& ctx, const SampleMatrix& matrix,
                        const MatrixView<const float>& t, bool squared,
                        const MatrixView<double>& product) {
  if (matrix.features() == 0) return;
  if (!matrix.is_dense()) {
    if (!matrix.columns.offsets)
      fail(ErrorKind::internal, "a transposed product on CUDA needs the matrix by column");
    return squared ? sparse_product<true>(ctx, matrix.columns, t, product)
                   : sparse_product<false>(ctx, matrix.columns, t, product);
  }
  if (!squared && t.cols > 1) return dense_product(ctx, matrix.dense, t, product);
  for (std::int64_t c = 0; c < t.cols; ++c)
    squared ? one_dense_product<true>(ctx, matrix.dense, t, c, product.row(c))
            : one_dense_product<false>(ctx, matrix.dense, t, c, product.row(c));
}

void column_sums(const Context& ctx, const MatrixView<const float>& t,
                 const VectorView<double>& sums) {
  const std::int64_t parts = ceil_div(t.rows, kSumRows);
  Workspace::Scope scratch(ctx);
  double* partial = scratch.take<double>(parts * t.cols).data;
  if (parts) {
    const dim3 grid(static_cast<unsigned>(parts),
                    static_cast<unsigned>(ceil_div<std::int64_t>(t.cols, kWarp)));
    column_sums_kernel<<<grid, kSumThreads, 0, ctx.stream()>>>(t, partial);
    cuda_check(cudaGetLastError(), "launch sums of columns");
  }
  sum_parts(ctx, partial, parts, t.cols, sums.data);
}

}  // namespace gradmill::cuda
