#include "kernels/vector_ops/vector_ops.h"

#include <algorithm>
#include <cstddef>

#include "kernels/block_sum.cuh"
#include "kernels/resident_blocks.cuh"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kChunk = 4096;
constexpr int kWarps = kThreads / kWarp, kPairsPerWarp = kMaxVectorPairs / kWarps;
constexpr std::int64_t kStageBytes = 96 << 10;

/// The rows that the pairs name, each once, and the pairs by place in that list.
struct StagedPairs {
  std::int16_t rows[2 * kMaxVectorPairs];
  VectorPair pairs[kMaxVectorPairs];
  int num_rows = 0, num_pairs = 0, tile = 0;

  explicit StagedPairs(const VectorDotsArgs& args) : num_pairs(args.num_pairs) {
    for (int k = 0; k < num_pairs; ++k) pairs[k] = {place(args.pairs[k].a), place(args.pairs[k].b)};
    const std::int64_t fit = kStageBytes / (8 * std::max(num_rows, 1)) / kWarp * kWarp;
    tile = static_cast<int>(std::min<std::int64_t>(fit, 512));
  }
  std::int16_t place(std::int16_t row) {
    for (int i = 0; i < num_rows; ++i)
      if (rows[i] == row) return static_cast<std::int16_t>(i);
    rows[num_rows] = row;
    return static_cast<std::int16_t>(num_rows++);
  }
};

/// Every row's tile comes to shared memory once; a warp has the pairs w, w + 8, ...
__global__ void __launch_bounds__(kThreads)
    vector_dots_kernel(MatrixView<const double> vectors, StagedPairs s, double* partial) {
  extern __shared__ double stage[];  // [num_rows][tile]
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::int64_t first = blockIdx.x * kChunk, last = min(first + kChunk, vectors.cols);
  double sums[kPairsPerWarp] = {};
  for (std::int64_t at = first; at < last; at += s.tile) {
    const int count = static_cast<int>(min(last - at, static_cast<std::int64_t>(s.tile)));
    for (int r = warp; r < s.num_rows; r += kWarps)
      for (int i = lane; i < count; i += kWarp) stage[r * s.tile + i] = vectors(s.rows[r], at + i);
    __syncthreads();
#pragma unroll
    for (int p = 0; p < kPairsPerWarp; ++p) {
      const int k = p * kWarps + warp;
      if (k >= s.num_pairs) break;
      const double *a = stage + s.pairs[k].a * s.tile, *b = stage + s.pairs[k].b * s.tile;
      double sum = 0;
      for (int i = lane; i < count; i += kWarp) sum += a[i] * b[i];
      sums[p] += sum;
    }
    __syncthreads();
  }
#pragma unroll
  for (int p = 0; p < kPairsPerWarp; ++p) {
    const int k = p * kWarps + warp;
    if (k >= s.num_pairs) break;
    const double sum = lane_sum(sums[p]);
    if (lane == 0) partial[std::int64_t{blockIdx.x} * s.num_pairs + k] = sum;
  }
}

template <class Body>
__global__ void __launch_bounds__(kThreads) elements_kernel(std::int64_t count, Body body) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) body(i);
}

/// body(i) for i in [0, count).
template <class Body>
void for_elements(const Context& ctx, std::int64_t count, const char* doing, const Body& body) {
  if (count == 0) return;
  elements_kernel<<<static_cast<unsigned>(ceil_div<std::int64_t>(count, kThreads)), kThreads, 0,
                    ctx.stream()>>>(count, body);
  cuda_check(cudaGetLastError(), doing);
}

template <class Term>
__global__ void __launch_bounds__(kThreads)
    chunk_sums_kernel(std::int64_t count, Term term, double* partial) {
  const std::int64_t first = blockIdx.x * kChunk, last = min(first + kChunk, count);
  double mine = 0;
  for (std::int64_t i = first + threadIdx.x; i < last; i += kThreads) mine += term(i);
  mine = block_sum<kThreads>(mine);
  if (threadIdx.x == 0) partial[blockIdx.x] = mine;
}

/// total[0] = sum of term(i) for i in [0, count), by chunks.
template <class Term>
void sum_terms(const Context& ctx, std::int64_t count, const char* doing, const Term& term,
               double* total) {
  const std::int64_t chunks = ceil_div(count, kChunk);
  Workspace::Scope scratch(ctx);
  double* partial = scratch.take<double>(chunks).data;
  if (chunks) {
    chunk_sums_kernel<<<static_cast<unsigned>(chunks), kThreads, 0, ctx.stream()>>>(count, term,
                                                                                    partial);
    cuda_check(cudaGetLastError(), doing);
  }
  sum_parts(ctx, partial, chunks, 1, total);
}

struct Combine {
  VectorCombineArgs a;
  __device__ void operator()(std::int64_t i) const {
    double sum = 0;
    for (int k = 0; k < a.num_terms; ++k) sum += a.terms[k].factor * a.vectors(a.terms[k].row, i);
    a.vectors(a.into, i) = sum;
    if (a.rounded.data) a.rounded[i] = static_cast<float>(sum);
  }
};

struct Regularize {
  RegularizeArgs a;
  __device__ double operator()(std::int64_t i) const {
    const double g = a.scale * a.gradient[i];
    if (i >= a.regularized) {
      a.gradient[i] = g;
      return 0;
    }
    const double x = a.x[i];
    a.gradient[i] = g + a.l2 * x;
    return a.l2 / 2 * x * x + a.l1 * fabs(x);
  }
};

struct Precondition {
  PreconditionArgs a;
  __device__ void operator()(std::int64_t i) const {
    a.vectors(a.into, i) =
        a.vectors(a.numerator, i) / (1 - a.share + a.share * a.vectors(a.diagonal, i));
  }
};

struct PseudoGradient {
  PseudoGradientArgs a;
  __device__ void operator()(std::int64_t i) const {
    double p = a.vectors(a.gradient, i);
    if (i < a.regularized) {
      const double x = a.vectors(a.x, i);
      if (x != 0)
        p += x > 0 ? a.l1 : -a.l1;
      else
        p = p < -a.l1 ? p + a.l1 : (p > a.l1 ? p - a.l1 : 0);
    }
    a.vectors(a.into, i) = p;
  }
};

struct OrthantStep {
  OrthantStepArgs a;
  __device__ void operator()(std::int64_t i) const {
    const double x = a.vectors(a.x, i), d = a.vectors(a.direction, i),
                 p = a.vectors(a.pseudo_gradient, i);
    const bool free = i >= a.regularized;
    double y = x + (free || d * p < 0 ? a.step * d : 0.0);
    if (!free && y * (x != 0 ? x : -p) <= 0) y = 0;
    a.vectors(a.into, i) = y;
    if (a.rounded.data) a.rounded[i] = static_cast<float>(y);
  }
};

struct Reorder {
  ReorderColumnsArgs a;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t j = i / a.inner.cols, c = i % a.inner.cols;
    float& user = a.user(c, a.order.data ? a.order[j] : j);
    float& inner = a.inner(j, c);
    if (a.backward)
      inner = user;
    else
      user = inner;
  }
};

struct Value {
  VectorView<const float> values;
  __device__ double operator()(std::int64_t i) const { return values[i]; }
};
}  // namespace

void vector_dots(const Context& ctx, const VectorDotsArgs& args) {
  const StagedPairs staged(args);
  const std::int64_t chunks = ceil_div(args.vectors.cols, kChunk);
  Workspace::Scope scratch(ctx);
  double* partial = scratch.take<double>(chunks * args.num_pairs).data;
  if (chunks && args.num_pairs) {
    const std::size_t bytes = sizeof(double) * static_cast<std::size_t>(staged.num_rows) *
                              static_cast<std::size_t>(staged.tile);
    (void)resident_blocks(ctx, vector_dots_kernel, kThreads, bytes);
    vector_dots_kernel<<<static_cast<unsigned>(chunks), kThreads, bytes, ctx.stream()>>>(
        args.vectors, staged, partial);
    cuda_check(cudaGetLastError(), "launch vector_dots");
  }
  sum_parts(ctx, partial, chunks, args.num_pairs, args.results.data);
}

void vector_combine(const Context& ctx, const VectorCombineArgs& args) {
  for_elements(ctx, args.vectors.cols, "launch vector_combine", Combine{args});
}
void regularize(const Context& ctx, const RegularizeArgs& args) {
  sum_terms(ctx, args.x.size, "launch regularize", Regularize{args}, args.value.data);
}
void precondition(const Context& ctx, const PreconditionArgs& args) {
  for_elements(ctx, args.vectors.cols, "launch precondition", Precondition{args});
}
void pseudo_gradient(const Context& ctx, const PseudoGradientArgs& args) {
  for_elements(ctx, args.vectors.cols, "launch pseudo_gradient", PseudoGradient{args});
}
void orthant_step(const Context& ctx, const OrthantStepArgs& args) {
  for_elements(ctx, args.vectors.cols, "launch orthant_step", OrthantStep{args});
}
void reorder_columns(const Context& ctx, const ReorderColumnsArgs& args) {
  for_elements(ctx, args.inner.rows * args.inner.cols, "launch reorder_columns", Reorder{args});
}
void sum(const Context& ctx, const SumArgs& args) {
  sum_terms(ctx, args.values.size, "launch sum", Value{args.values}, args.total.data);
}

}  // namespace gradmill::cuda
