#include <algorithm>

#include "kernels/ials_cg/ials_cg.h"
#include "kernels/normal_equations/row_line.h"
#include "kernels/resident_blocks.cuh"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/error.h"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr int kDotLanes = 8;  // lanes that share a rating's dot product
constexpr std::size_t kSharedBytes = std::size_t{100} << 10;  // two blocks a multiprocessor
constexpr int kMostBaseBytes = 40 << 10;                      // of it, for the base if it fits
constexpr float kConverged = 1e-20f;

struct CgWork {
  IalsCgArgs args;
  int k, width;  // width: k rounded up to 4
  int capacity;  // ratings that fit into shared memory
  RowLine line;
  bool vector_factors;
  int base_values;  // k * k if the base is kept in shared memory, else 0
};

/// A row's gathered factors (all, or a tile of them) and the vectors of the iteration.
struct CgShared {
  float* y;                                   // [capacity, width]
  float* coef;                                // [capacity] weight of the rating in A
  float* dots;                                // [capacity]
  float *x, *residual, *direction, *product;  // [width]
  float* parts;                               // [kThreads]
  std::int32_t* index;                        // [capacity]

  float* base;  // [base_values]

  /// Floats beside those of the ratings.
  static int fixed_floats(const CgWork& work) {
    return 4 * work.width + kThreads + work.base_values;
  }
  __device__ CgShared(float* memory, const CgWork& work) {
    y = memory;
    x = y + work.capacity * work.width;
    residual = x + work.width;
    direction = residual + work.width;
    product = direction + work.width;
    parts = product + work.width;
    coef = parts + kThreads;
    dots = coef + work.capacity;
    index = reinterpret_cast<std::int32_t*>(dots + work.capacity);
    base = dots + 2 * work.capacity;
  }
};

__device__ void stage(const CgWork& work, const CgShared& shared, std::int64_t begin, int count) {
  const IalsCgArgs& args = work.args;
  for (int s = threadIdx.x; s < count; s += kThreads) {
    const std::int64_t e = begin + s;
    shared.index[s] = args.ratings.indices[e];
    shared.coef[s] =
        (args.weights.size ? args.weights[e] : 1.0f) * args.model.alpha * args.ratings.values[e];
  }
  __syncthreads();
  const int quads = work.width / 4;
  for (int q = threadIdx.x; q < count * quads; q += kThreads) {
    const int s = q / quads, f = q % quads;
    reinterpret_cast<float4*>(shared.y)[q] =
        load4(args.factors.row(shared.index[s]), 4 * f, work.k, work.vector_factors);
  }
  __syncthreads();
}

/// product = A v; with kResidual product = b - A v. v is in shared memory and visible.
template <bool kResidual>
__device__ void multiply(const CgWork& work, const CgShared& shared, const float* v,
                         std::int64_t begin, std::int64_t end, float ridge_value) {
  const int k = work.k, quads = work.width / 4;
  const int slices = kThreads / k, slice = threadIdx.x / k, j = threadIdx.x % k;
  float sum = 0;
  if (slice < slices)  // the base is symmetric: its rows serve as columns
    for (int i = slice; i < k; i += slices)
      sum = fmaf(work.base_values ? shared.base[i * k + j] : work.args.base(i, j), v[i], sum);
  if (kResidual) sum = -sum;
  const bool resident = end - begin <= work.capacity;
  for (std::int64_t at = begin; at < end; at += work.capacity) {
    const int count = static_cast<int>(min(end - at, std::int64_t{work.capacity}));
    if (!resident) stage(work, shared, at, count);
    const int part = threadIdx.x % kDotLanes;
    for (int first = 0; first < count; first += kThreads / kDotLanes) {
      const int s = first + threadIdx.x / kDotLanes;
      float dot = 0;
      if (s < count)
        for (int f = part; f < quads; f += kDotLanes)
          dot += dot4(reinterpret_cast<const float4*>(shared.y)[s * quads + f],
                      reinterpret_cast<const float4*>(v)[f]);
      dot = lane_sum<kDotLanes>(dot);
      if (part == 0 && s < count) {
        const float scaled = shared.coef[s] * dot;
        shared.dots[s] =
            kResidual ? work.args.model.unobserved_weight + shared.coef[s] - scaled : scaled;
      }
    }
    __syncthreads();
    if (slice < slices)
      for (int s = slice; s < count; s += slices)
        sum = fmaf(shared.dots[s], shared.y[s * work.width + j], sum);
    __syncthreads();
  }
  shared.parts[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x < k) {
    float total = (kResidual ? -ridge_value : ridge_value) * v[j];
    for (int g = 0; g < slices; ++g) total += shared.parts[g * k + j];
    shared.product[j] = total;
  }
  __syncthreads();
}

/// Every warp computes the same sum, so there is nothing to exchange.
__device__ float dot(const float* a, const float* b, int k) {
  float sum = 0;
  for (int f = threadIdx.x % kWarp; f < k; f += kWarp) sum = fmaf(a[f], b[f], sum);
  return lane_sum(sum);
}

/// Blocks take equal shares of the line of rows (see row_systems.cuh), a row at a time.
__global__ __launch_bounds__(kThreads, 2) void ials_cg_kernel(CgWork work) {
  extern __shared__ float4 memory[];
  const CgShared shared(reinterpret_cast<float*>(memory), work);
  const IalsCgArgs& args = work.args;
  const int k = work.k;
  const RowShare share = row_share(work.line, 0, INT64_MAX, blockIdx.x, gridDim.x);
  if (threadIdx.x < work.width - k)  // what pads the vectors
    shared.x[k + threadIdx.x] = shared.direction[k + threadIdx.x] = 0;
  for (int i = threadIdx.x; i < work.base_values; i += kThreads)
    shared.base[i] = args.base(i / k, i % k);
  for (RowItem item = share.first; share.holds(work.line, item); ++item.row) {
    const std::int64_t row = item.row;
    const std::int64_t begin = args.ratings.offsets[row], end = args.ratings.offsets[row + 1];
    float* solution = args.solutions.row(row);
    if (begin == end) {
      if (threadIdx.x < k) solution[threadIdx.x] = 0;
      continue;
    }
    const float ridge_value = ridge(args.model, end - begin);
    __syncthreads();
    if (threadIdx.x < k) shared.x[threadIdx.x] = solution[threadIdx.x];
    if (end - begin <= work.capacity) stage(work, shared, begin, static_cast<int>(end - begin));
    __syncthreads();
    multiply<true>(work, shared, shared.x, begin, end, ridge_value);
    if (threadIdx.x < k)
      shared.residual[threadIdx.x] = shared.direction[threadIdx.x] = shared.product[threadIdx.x];
    __syncthreads();
    float old = dot(shared.residual, shared.residual, k);
    for (int step = 0; step < args.steps && old > kConverged; ++step) {
      multiply<false>(work, shared, shared.direction, begin, end, ridge_value);
      const float length = old / dot(shared.direction, shared.product, k);
      if (threadIdx.x < k) {
        shared.x[threadIdx.x] += length * shared.direction[threadIdx.x];
        shared.residual[threadIdx.x] -= length * shared.product[threadIdx.x];
      }
      __syncthreads();
      const float now = dot(shared.residual, shared.residual, k);
      if (threadIdx.x < k)
        shared.direction[threadIdx.x] =
            shared.residual[threadIdx.x] + now / old * shared.direction[threadIdx.x];
      old = now;
      __syncthreads();
    }
    if (threadIdx.x < k) solution[threadIdx.x] = shared.x[threadIdx.x];
  }
}
}  // namespace

void ials_cg(const Context& ctx, const IalsCgArgs& args) {
  if (args.ratings.rows == 0) return;
  if (args.factors.cols > kThreads) fail(ErrorKind::usage, "ials_cg on CUDA: at most 256 factors");
  CgWork work{};
  work.args = args;
  work.k = static_cast<int>(args.factors.cols);
  work.width = ceil_div(work.k, 4) * 4;
  work.base_values = 4 * work.k * work.k <= kMostBaseBytes ? work.k * work.k : 0;
  const int fixed = CgShared::fixed_floats(work);
  work.capacity = (static_cast<int>(kSharedBytes / sizeof(float)) - fixed) / (work.width + 3);
  work.line.offsets = args.ratings.offsets;
  work.line.rows = args.ratings.rows;
  work.line.row_cost = 16 + work.k / 2;
  work.vector_factors = has_vector_rows(args.factors.data, args.factors.stride);
  const std::size_t shared_bytes =
      sizeof(float) * static_cast<std::size_t>(work.capacity * (work.width + 3) + fixed);
  const std::int64_t resident = resident_blocks(ctx, ials_cg_kernel, kThreads, shared_bytes);
  const auto blocks = static_cast<unsigned>(std::min(resident, args.ratings.rows));
  ials_cg_kernel<<<blocks, kThreads, shared_bytes, ctx.stream()>>>(work);
  cuda_check(cudaGetLastError(), "launch ials_cg");
}

}  // namespace gradmill::cuda
