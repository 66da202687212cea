#include "kernels/linear_step/linear_step.h"

#include <algorithm>

#include "kernels/linear_pass/row_losses.cuh"
#include "kernels/linear_pass/segment_rows.cuh"
#include "kernels/linear_pass/segment_sums.cuh"

namespace gradmill::cuda {
namespace {
constexpr int kThreads = 256;
constexpr std::int64_t kBatchSteps = 64;  // of a warp, where there are several outputs

struct BatchSlopes {
  Targets targets;
  float scale;
  std::int64_t outputs;
  float* row_losses;
  __device__ double operator()(std::int64_t row, float* scores) const {
    const bool writes = threadIdx.x % kWarp == 0;
    if (outputs > 1) {
      const double loss = class_losses(targets, row, outputs, scale, scores, nullptr);
      if (writes) row_losses[row] = static_cast<float>(loss);
    } else if (writes) {
      const float s = targets.weight(row);
      const PointLoss at = point_loss(targets.loss, scores[0], targets.labels[row]);
      row_losses[row] = s * at.value;
      scores[0] = scale * s * at.slope;
    }
    return 0;
  }
};

/// What a column's gradient is for: stored, or an update of the parameters.
struct StoreGradient {
  static constexpr int kPartials = 0;
  MatrixView<float> gradient;
  __device__ void operator()(std::int64_t k, std::int64_t c, double sum) const {
    gradient(k, c) = static_cast<float>(sum);
  }
  __device__ void finish(std::int64_t) const {}
  __device__ float operator()(std::int64_t k, double sum, Partials<0>&) const {
    (*this)(k, 0, sum);
    return 0;
  }
};

/// All outputs of a column are updated before finish().
struct UpdateParameters {
  static constexpr int kPartials = 0;
  LinearBatchUpdateArgs a;
  int slots;
  __device__ std::int64_t feature(std::int64_t k) const {
    return a.columns.columns.size ? a.columns.columns[a.first + k] : a.first + k;
  }
  __device__ void operator()(std::int64_t k, std::int64_t c, double sum) const {
    const std::int64_t j = feature(k);
    const std::int64_t state = j - a.state_first;
    const bool free = j == a.parameters.rows - 1;
    const Penalty penalty = free ? Penalty{0, 0} : Penalty{a.optimizer.l1, a.optimizer.l2};
    const std::int32_t seen = a.seen[state];
    const int gap = a.step + 1 - seen;
    const float gap_rate = a.cumulative_rates[a.step + 1] - a.cumulative_rates[seen];
    const float old = a.parameters(j, c);
    float w = old, slot0 = slots > 0 ? a.slots(state, c) : 0.0f,
          slot1 = slots > 1 ? a.slots(state, a.parameters.cols + c) : 0.0f;
    optimizer_update(a.optimizer, penalty, static_cast<float>(sum), gap, gap_rate, w, slot0, slot1);
    a.parameters(j, c) = w;
    if (slots > 0) a.slots(state, c) = slot0;
    if (slots > 1) a.slots(state, a.parameters.cols + c) = slot1;
    if (a.averages.data) a.averages(state, c) += static_cast<float>(gap - 1) * old + w;
  }
  __device__ void finish(std::int64_t k) const { a.seen[feature(k) - a.state_first] = a.step + 1; }
  __device__ float operator()(std::int64_t k, double sum, Partials<0>&) const {
    (*this)(k, 0, sum);
    finish(k);
    return 0;
  }
};

/// Gradients that are there already, or as parts: a warp for each column.
template <class End>
__global__ void __launch_bounds__(kThreads)
    given_gradient_kernel(MatrixView<const float> gradient, const std::int32_t* part_offsets,
                          const std::int32_t* parts, std::int64_t first, std::int64_t columns,
                          End end) {
  const std::int64_t k = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp;
  if (k >= columns) return;
  const std::int32_t begin = part_offsets ? part_offsets[first + k] : 0;
  const std::int32_t stop = part_offsets ? part_offsets[first + k + 1] : 0;
  for (std::int64_t c = threadIdx.x % kWarp; c < gradient.cols; c += kWarp) {
    float sum = part_offsets ? 0 : gradient(first + k, c);
    for (std::int32_t e = begin; e < stop; ++e) sum += gradient(parts[e], c);
    end(k, c, sum);
  }
  __syncwarp();
  if (threadIdx.x % kWarp == 0) end.finish(k);
}

/// Dense rows: a lane for each of 32 columns, a warp for every eighth row of the batch.
template <class End>
__global__ void __launch_bounds__(kThreads)
    dense_batch_kernel(MatrixView<const float> x, MatrixView<const float> slopes,
                       std::int64_t first, std::int64_t columns, End end) {
  constexpr int kWarps = kThreads / kWarp;
  __shared__ float sums[kWarps][kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::int64_t k = std::int64_t{blockIdx.x} * kWarp + lane, j = first + k;
  for (std::int64_t c = 0; c < slopes.cols; ++c) {
    float sum = 0;
    if (k < columns)
#pragma unroll 4
      for (std::int64_t r = warp; r < x.rows; r += kWarps)
        sum += slopes(r, c) * (j < x.cols ? x(r, j) : 1.0f);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && k < columns) {
      for (int w = 1; w < kWarps; ++w) sum += sums[w][lane];
      end(k, c, sum);
    }
    __syncthreads();
  }
  if (warp == 0 && k < columns) end.finish(k);
}

/// end(k, c, sum of slopes) for the batch's columns first + k, k < count.
template <class End>
void batch_columns(const Context& ctx, const SampleMatrix& matrix, const BatchColumns& columns,
                   const MatrixView<const float>& slopes, std::int64_t first, std::int64_t count,
                   const End& end) {
  if (count == 0) return;
  if (matrix.is_dense()) {
    dense_batch_kernel<<<static_cast<unsigned>(ceil_div<std::int64_t>(count, kWarp)), kThreads, 0,
                         ctx.stream()>>>(matrix.dense, slopes, first, count, end);
    return cuda_check(cudaGetLastError(), "launch a dense batch's gradient");
  }
  Segments s;
  s.offsets = columns.offsets.data + first;
  s.rows = count;
  s.most_entries = columns.rows.size;
  s.origin = columns.offsets.data;
  s.indices = columns.rows.data;
  s.values = columns.values.size ? columns.values.data : nullptr;
  if (slopes.cols == 1)
    segment_sums<kFewGroups>(ctx, s, slopes.data, slopes.stride, end);
  else
    segment_rows(ctx, s, slopes, kBatchSteps, end);
}

std::int64_t column_count(const SampleMatrix& matrix, const BatchColumns& columns, bool intercept) {
  return matrix.is_dense() ? matrix.features() + intercept : columns.columns.size;
}

__global__ void __launch_bounds__(kThreads) settle_kernel(LinearSettleArgs a, int slots) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t outputs = a.parameters.cols, j = i / outputs, c = i % outputs;
  if (j >= a.parameters.rows) return;
  const std::int32_t seen = a.seen[j];
  float& w = a.parameters(j, c);
  if (a.averages.data) {
    float& average = a.averages(j, c);
    average = (average + static_cast<float>(a.step - seen) * w) /
              static_cast<float>(max(a.step, std::int32_t{1}));
  }
  if (a.intercepts && j == a.parameters.rows - 1) return;
  const float gap_rate = a.cumulative_rates[a.step] - a.cumulative_rates[seen];
  optimizer_settle(a.optimizer, {a.optimizer.l1, a.optimizer.l2}, gap_rate, w,
                   slots > 0 ? a.slots(j, c) : 0.0f, slots > 1 ? a.slots(j, outputs + c) : 0.0f);
}
}  // namespace

void linear_batch_slopes(const Context& ctx, const LinearBatchSlopesArgs& args) {
  const std::int64_t n = args.matrix.features(), outputs = args.parameters.cols;
  const float* intercepts = args.intercept ? args.parameters.row(n) : nullptr;
  const BatchSlopes end{
      {args.labels, args.weights, args.loss_kind}, args.scale, outputs, args.row_losses.data};
  if (args.matrix.is_dense())
    table_scores<ScoreSource::dense_rows>(ctx, args.matrix, args.parameters, intercepts,
                                          args.slopes, end, nullptr);
  else
    table_scores<ScoreSource::sparse_rows>(ctx, args.matrix, args.parameters, intercepts,
                                           args.slopes, end, nullptr);
}

void linear_batch_gradient(const Context& ctx, const LinearBatchGradientArgs& args) {
  batch_columns(ctx, args.matrix, args.columns, args.slopes, 0,
                column_count(args.matrix, args.columns, args.intercept),
                StoreGradient{args.gradient});
}

void linear_batch_update(const Context& ctx, const LinearBatchUpdateArgs& args) {
  const UpdateParameters end{args, optimizer_slots(args.optimizer.kind, args.optimizer.momentum)};
  const std::int64_t count = args.last - args.first;
  if (count <= 0) return;
  if (!args.gradient.data)
    return batch_columns(ctx, args.matrix, args.columns, args.slopes, args.first, count, end);
  given_gradient_kernel<<<static_cast<unsigned>(ceil_div<std::int64_t>(count, kThreads / kWarp)),
                          kThreads, 0, ctx.stream()>>>(
      args.gradient, args.part_offsets.size ? args.part_offsets.data : nullptr, args.parts.data,
      args.first, count, end);
  cuda_check(cudaGetLastError(), "launch linear_batch_update");
}

void linear_settle(const Context& ctx, const LinearSettleArgs& args) {
  const std::int64_t count = args.parameters.rows * args.parameters.cols;
  if (count == 0) return;
  settle_kernel<<<static_cast<unsigned>(ceil_div<std::int64_t>(count, kThreads)), kThreads, 0,
                  ctx.stream()>>>(args,
                                  optimizer_slots(args.optimizer.kind, args.optimizer.momentum));
  cuda_check(cudaGetLastError(), "launch linear_settle");
  ctx.zero(args.seen.data, static_cast<std::size_t>(args.seen.size) * sizeof(std::int32_t));
}

}  // namespace gradmill::cuda
