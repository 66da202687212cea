#include <algorithm>

#include "kernels/ials_cg/formed_rows.cuh"
#include "kernels/ials_cg/ials_cg.h"
#include "kernels/normal_equations/launch_row_systems.cuh"

namespace gradmill::cuda {
namespace {
constexpr int kMostThreads = 512;
constexpr int kDotLanes = 8;   // lanes that share a rating's dot product
constexpr int kStrip = kWarp;  // columns of the base that are kept as one strip
constexpr int kMostFactors = 256;

struct CgWork {
  IalsCgArgs args;
  int k, size, width;    // size: with the bias, whose factor is 1; width: rounded up to 4
  int capacity;          // ratings that fit into shared memory
  int base_values;       // floats of the base in shared memory; 0: it is read from memory
  std::int64_t longest;  // rows with more ratings are left out
  RowLine line;
  std::int64_t shares;
  std::int32_t* shares_taken;
  bool vector_factors;
};

/// The lower triangle of the base, widened to whole strips: row r has the columns of the strips up to
/// its own, and one float more, so that reading along a row and across rows both avoid bank conflicts.
__host__ __device__ constexpr int base_pitch(int strip) { return kStrip * (strip + 1) + 1; }
__host__ __device__ constexpr int base_start(int strip) {  // sum of kStrip * base_pitch before
  return kStrip * (kStrip * strip * (strip + 1) / 2 + strip);
}
__device__ inline int base_row(int row) {
  return base_start(row / kStrip) + row % kStrip * base_pitch(row / kStrip);
}

/// A row's gathered factors (all, or a tile of them) and the vectors of the iteration.
struct CgShared {
  float* y;                                   // [capacity, width]
  float* coef;                                // [capacity] weight of the rating in A
  float* dots;                                // [capacity] weight in b when staged, then in a sum
  float *x, *residual, *direction, *product;  // [width]
  float* parts;                               // [threads]
  std::int32_t* index;                        // [capacity]
  std::int32_t* share;                        // the block's
  float* base;                                // [base_values]

  /// Floats beside those of the ratings.
  static int fixed_floats(const CgWork& work, int threads) {
    return 4 * work.width + threads + 1 + work.base_values;
  }
  __device__ CgShared(float* memory, const CgWork& work) {
    y = memory;
    x = y + work.capacity * work.width;
    residual = x + work.width;
    direction = residual + work.width;
    product = direction + work.width;
    parts = product + work.width;
    coef = parts + blockDim.x;
    dots = coef + work.capacity;
    index = reinterpret_cast<std::int32_t*>(dots + work.capacity);
    share = index + work.capacity;
    base = dots + 2 * work.capacity + 1;
  }
};

__device__ void stage(const CgWork& work, const CgShared& shared, std::int64_t begin, int count) {
  const IalsCgArgs& args = work.args;
  for (int s = threadIdx.x; s < count; s += blockDim.x) {
    const std::int64_t e = begin + s;
    const std::int32_t i = args.ratings.indices[e];
    const float r = args.ratings.values[e], w = args.weights.size ? args.weights[e] : 1.0f;
    const float a = args.model.implicit ? w * args.model.alpha * r : w;
    shared.index[s] = i;
    shared.coef[s] = a;
    shared.dots[s] = args.model.implicit
                         ? args.model.unobserved_weight + a
                         : w * (r - args.model.offset - (args.biases.size ? args.biases[i] : 0.0f));
  }
  __syncthreads();
  const int quads = work.width / 4;
  for (int q = threadIdx.x; q < count * quads; q += blockDim.x) {
    const int s = q / quads, f = q % quads;
    reinterpret_cast<float4*>(shared.y)[q] =
        load4(args.factors.row(shared.index[s]), 4 * f, work.k, work.vector_factors);
    if (work.size > work.k && f == work.k / 4) shared.y[s * work.width + work.k] = 1;
  }
  __syncthreads();
}

/// The part of element j of base v that this slice sums.
__device__ __forceinline__ float base_product(const CgWork& work, const CgShared& shared,
                                              const float* v, int j, int slice, int slices) {
  float sum = 0;
  if (work.args.base.rows == 0) return sum;
  int i = slice;
  if (work.base_values == 0) {  // the base is symmetric: its rows serve as columns
    for (; i < work.k; i += slices) sum = fmaf(work.args.base(i, j), v[i], sum);
    return sum;
  }
  const int own = min(work.k, (j / kStrip + 1) * kStrip);
  const float* row = shared.base + base_row(j);
  for (; i < own; i += slices) sum = fmaf(row[i], v[i], sum);
  for (; i < work.k; i += slices) sum = fmaf(shared.base[base_row(i) + j], v[i], sum);
  return sum;
}

/// product = A v; with kResidual product = b - A v. v is in shared memory and visible.
template <bool kResidual>
__device__ void multiply(const CgWork& work, const CgShared& shared, const float* v,
                         std::int64_t begin, std::int64_t end, float ridge_value) {
  const int size = work.size, quads = work.width / 4;
  const int threads = blockDim.x, slices = threads / size, slice = threadIdx.x / size,
            j = threadIdx.x % size;
  float sum = slice < slices ? base_product(work, shared, v, j, slice, slices) : 0;
  if (kResidual) sum = -sum;
  const bool resident = end - begin <= work.capacity;
  for (std::int64_t at = begin; at < end; at += work.capacity) {
    const int count = static_cast<int>(min(end - at, std::int64_t{work.capacity}));
    if (!resident) stage(work, shared, at, count);
    const int part = threadIdx.x % kDotLanes;
    for (int first = 0; first < count; first += threads / kDotLanes) {
      const int s = first + threadIdx.x / kDotLanes;
      float dot = 0;
      if (s < count)
        for (int f = part; f < quads; f += kDotLanes)
          dot += dot4(reinterpret_cast<const float4*>(shared.y)[s * quads + f],
                      reinterpret_cast<const float4*>(v)[f]);
      dot = lane_sum<kDotLanes>(dot);
      if (part == 0 && s < count) {
        const float scaled = shared.coef[s] * dot;
        shared.dots[s] = kResidual ? shared.dots[s] - scaled : scaled;
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
  if (threadIdx.x < size) {
    float total = (kResidual ? -ridge_value : ridge_value) * v[j];
    for (int g = 0; g < slices; ++g) total += shared.parts[g * size + j];
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

/// Value j of a row's solution, the last one its bias.
__device__ inline float& solution(const CgWork& work, std::int64_t row, int j) {
  return j < work.k ? work.args.solutions(row, j) : work.args.solution_biases[row];
}

/// All steps of one row.
__device__ void solve_row(const CgWork& work, const CgShared& shared, std::int64_t row,
                          std::int64_t begin, std::int64_t end) {
  const IalsCgArgs& args = work.args;
  const int size = work.size;
  const float ridge_value = ridge(args.model, end - begin);
  __syncthreads();
  if (threadIdx.x < size) shared.x[threadIdx.x] = solution(work, row, threadIdx.x);
  if (end - begin <= work.capacity) stage(work, shared, begin, static_cast<int>(end - begin));
  __syncthreads();
  multiply<true>(work, shared, shared.x, begin, end, ridge_value);
  if (threadIdx.x < size)
    shared.residual[threadIdx.x] = shared.direction[threadIdx.x] = shared.product[threadIdx.x];
  __syncthreads();
  float old = dot(shared.residual, shared.residual, size);
  for (int step = 0; step < args.steps && old > kConverged; ++step) {
    multiply<false>(work, shared, shared.direction, begin, end, ridge_value);
    const float length = old / dot(shared.direction, shared.product, size);
    if (threadIdx.x < size) {
      shared.x[threadIdx.x] += length * shared.direction[threadIdx.x];
      shared.residual[threadIdx.x] -= length * shared.product[threadIdx.x];
    }
    __syncthreads();
    const float now = dot(shared.residual, shared.residual, size);
    if (threadIdx.x < size)
      shared.direction[threadIdx.x] =
          shared.residual[threadIdx.x] + now / old * shared.direction[threadIdx.x];
    old = now;
    __syncthreads();
  }
  if (threadIdx.x < size) solution(work, row, threadIdx.x) = shared.x[threadIdx.x];
}

/// Blocks take the next share of the line of rows as they become free, and its rows one at a time.
__global__ __launch_bounds__(kMostThreads, 1) void ials_cg_kernel(CgWork work) {
  extern __shared__ float4 memory[];
  const CgShared shared(reinterpret_cast<float*>(memory), work);
  const IalsCgArgs& args = work.args;
  const int k = work.k;
  if (threadIdx.x < work.width - work.size)  // what pads the vectors
    shared.x[work.size + threadIdx.x] = shared.direction[work.size + threadIdx.x] = 0;
  for (int r = threadIdx.x / kWarp; work.base_values && r < k; r += blockDim.x / kWarp)
    for (int c = threadIdx.x % kWarp; c < min(k, (r / kStrip + 1) * kStrip); c += kWarp)
      shared.base[base_row(r) + c] = args.base(r, c);
  while (true) {
    __syncthreads();
    if (threadIdx.x == 0) *shared.share = atomicAdd(work.shares_taken, 1);
    __syncthreads();
    if (*shared.share >= work.shares) break;
    const RowShare share = row_share(work.line, 0, INT64_MAX, *shared.share, work.shares);
    for (RowItem item = share.first; share.holds(work.line, item); ++item.row) {
      const std::int64_t begin = args.ratings.offsets[item.row];
      const std::int64_t end = args.ratings.offsets[item.row + 1];
      if (end - begin > work.longest) continue;
      if (begin < end)
        solve_row(work, shared, item.row, begin, end);
      else if (threadIdx.x < work.size)
        solution(work, item.row, threadIdx.x) = 0;
    }
  }
}

struct CgBlockShape {
  int threads;
  std::size_t shared_bytes;
};

/// Decides what is kept in shared memory: the base unless it is too large, then ratings.
CgBlockShape divide_shared_memory(const Context& ctx, CgWork& work) {
  constexpr CgBlockShape kHalf{kMostThreads / 2, std::size_t{100} << 10};  // two a multiprocessor
  constexpr std::size_t kLeastBytes = std::size_t{48} << 10;               // beside the base
  int most = 0;
  cuda_check(
      cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, ctx.device().ordinal),
      "ask for the shared memory of a block");
  work.base_values = work.args.base.rows ? base_start(ceil_div(work.k, kStrip)) : 0;
  const std::size_t least =
      sizeof(float) * static_cast<std::size_t>(work.base_values) + kLeastBytes;
  CgBlockShape shape = kHalf;
  if (work.k > 64 && least <= static_cast<std::size_t>(most))
    shape = {kMostThreads, static_cast<std::size_t>(most)};
  if (least > shape.shared_bytes) work.base_values = 0;
  const int floats = static_cast<int>(shape.shared_bytes / sizeof(float));
  work.capacity = (floats - CgShared::fixed_floats(work, shape.threads)) / (work.width + 3);
  return shape;
}

/// Rows with more ratings are formed: beyond what is kept on chip, k^2 multiplications of a rating cost less
/// time than gathering its factors for every step, up to 128 factors; with more, chunks only are formed.
std::int64_t longest_row(const CgWork& work, std::int64_t chunk) {
  return work.k <= 128 ? std::min<std::int64_t>(work.capacity, chunk) : chunk;
}
}  // namespace

void ials_cg(const Context& ctx, const IalsCgArgs& args) {
  constexpr std::int64_t kPartialBytes = std::int64_t{512} << 20;
  if (args.ratings.rows == 0) return;
  if (args.factors.cols > kMostFactors)
    fail(ErrorKind::usage, "ials_cg on CUDA: at most 256 factors");
  CgWork work{};
  work.args = args;
  work.k = static_cast<int>(args.factors.cols);
  work.size = work.k + (args.biases.size ? 1 : 0);
  work.width = ceil_div(work.size, 4) * 4;
  work.vector_factors = has_vector_rows(args.factors.data, args.factors.stride);
  const CgBlockShape shape = divide_shared_memory(ctx, work);
  RowSystems formed(NormalEquationsArgs{.ratings = args.ratings,
                                        .weights = args.weights,
                                        .factors = args.factors,
                                        .biases = args.biases,
                                        .base = args.base,
                                        .model = args.model,
                                        .add_ridge = true,
                                        .systems = {},
                                        .rhs = {}},
                    1);
  work.longest = longest_row(work, formed.line.chunk);
  work.line.offsets = args.ratings.offsets;
  work.line.rows = args.ratings.rows;
  work.line.row_cost = 16 + work.k / 2;
  const std::int64_t resident =
      resident_blocks(ctx, ials_cg_kernel, shape.threads, shape.shared_bytes);
  const auto blocks = static_cast<unsigned>(std::min(resident, args.ratings.rows));
  work.shares = shares_by_turns(work.line, args.ratings.nnz, blocks);
  {
    Workspace::Scope scratch(ctx);
    work.shares_taken = scratch.take<std::int32_t>(1).data;
    ctx.zero(work.shares_taken, sizeof(std::int32_t));
    ials_cg_kernel<<<blocks, shape.threads, shape.shared_bytes, ctx.stream()>>>(work);
    cuda_check(cudaGetLastError(), "launch ials_cg");
  }
  formed.least_row = work.longest + 1;
  if (args.ratings.nnz >= formed.least_row)
    launch_row_systems(ctx, formed, StepRows{args.solutions, args.solution_biases, args.steps},
                       kPartialBytes);
}

}  // namespace gradmill::cuda
