#include "kernels/linear_step/linear_step.h"

#include "kernels/linear_pass/linear_pass.h"
#include "kernels/linear_pass/row_losses.h"
#include "kernels/linear_step/update_columns.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {

/// Sums of slopes into the accumulator's rows, the intercept's too.
void accumulate(const SampleMatrix& matrix, bool intercept, MatrixView<const float> slopes,
                MatrixView<float> accumulator) {
  const std::int64_t n = matrix.features(), stride = accumulator.stride;
  const std::int64_t group = group_rows(matrix);
  std::vector<float> factors;
  if (slopes.stride != stride) factors.assign(static_cast<std::size_t>(group * stride), 0.0f);
  for (std::int64_t row = 0; row < slopes.rows; row += group) {
    const std::int64_t count = std::min(group, slopes.rows - row);
    const float* t = slopes.row(row);
    if (!factors.empty()) {
      for (std::int64_t r = 0; r < count; ++r)
        std::copy_n(slopes.row(row + r), slopes.cols, factors.data() + r * stride);
      t = factors.data();
    }
    scatter_rows(matrix, row, count, t, false, accumulator);
    if (intercept)
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t c = 0; c < slopes.cols; ++c) accumulator(n, c) += t[r * stride + c];
  }
}

void require_batch(const char* op, const SampleMatrix& matrix, const BatchColumns& columns,
                   MatrixView<const float> slopes) {
  require(slopes.rows == matrix.samples(), "{}: {} samples, {} slopes", op, matrix.samples(),
          slopes.rows);
  require(!matrix.is_dense() || columns.columns.size == 0, "{}: dense rows with a list of columns",
          op);
}
}  // namespace

bool linear_batch_reads_columns(const Context& ctx) {
  return ctx.is_cuda() || ctx.shadow() != nullptr;
}

void cpu::linear_batch_slopes(const Context& ctx, const LinearBatchSlopesArgs& args) {
  const std::int64_t n = args.matrix.features(), outputs = args.parameters.cols;
  const std::int64_t stride = table_stride(outputs), group = group_rows(args.matrix);
  const std::int64_t rows = args.matrix.samples();
  const RowLosses losses{
      args.loss_kind, outputs,      args.intercept ? args.parameters.row(n) : nullptr,
      args.labels,    args.weights, args.scale};
  Workspace::Scope scratch(ctx);
  MatrixView<const float> table = args.parameters;
  if (table.stride != stride) {
    const VectorView<float> padded = scratch.take<float>(n * stride);
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t c = 0; c < stride; ++c)
        padded[j * stride + c] = c < outputs ? args.parameters(j, c) : 0.0f;
    table = {padded.data, n, outputs, stride, {}};
  }
  const std::int64_t buffer = 2 * group * stride;
  float* const buffers = scratch.take<float>(buffer * ctx.threads().size()).data;
  auto work = [&](std::int64_t first, std::int64_t last, int thread) {
    float *const m = buffers + thread * buffer, *const t = m + group * stride;
    for (std::int64_t g = first; g < last; ++g) {
      const std::int64_t row = g * group, count = std::min(group, rows - row);
      dot_rows(args.matrix, row, count, table, m);
      losses.evaluate(row, count, stride, m, t, nullptr, args.row_losses.data + row);
      for (std::int64_t r = 0; r < count; ++r)
        std::copy_n(t + r * stride, outputs, args.slopes.row(row + r));
    }
  };
  constexpr std::int64_t kGroupsPerThread = 8;  // less is not worth waking a thread
  const std::int64_t groups = (rows + group - 1) / group;
  if (groups <= kGroupsPerThread)
    work(0, groups, 0);
  else
    ctx.threads().parallel_for(groups, kGroupsPerThread, work);
}

void cpu::linear_batch_gradient(const Context&, const LinearBatchGradientArgs& args) {
  const ColumnList columns(args.columns, args.matrix, args.intercept);
  accumulate(args.matrix, args.intercept, args.slopes, args.accumulator);
  for (std::int64_t k = 0; k < columns.size; ++k) {
    float* const sums = args.accumulator.row(columns[k]);
    std::copy_n(sums, args.gradient.cols, args.gradient.row(k));
    std::fill_n(sums, args.gradient.cols, 0.0f);
  }
}

void cpu::linear_batch_update(const Context&, const LinearBatchUpdateArgs& args) {
  const ColumnList columns(args.columns, args.matrix, args.intercept);
  if (!args.gradient.data) accumulate(args.matrix, args.intercept, args.slopes, args.accumulator);
  if (args.part_offsets.size == 0) return update_columns(args, columns);
  for (std::int64_t k = args.first; k < args.last; ++k) {
    float* const sums = args.accumulator.row(columns[k]);
    for (std::int32_t e = args.part_offsets[k]; e < args.part_offsets[k + 1]; ++e) {
      const float* const part = args.gradient.row(args.parts[e]);
      for (std::int64_t c = 0; c < args.gradient.cols; ++c) sums[c] += part[c];
    }
  }
  LinearBatchUpdateArgs summed = args;
  summed.gradient = {};
  update_columns(summed, columns);
}

void cpu::linear_settle(const Context& ctx, const LinearSettleArgs& args) {
  const std::int64_t rows = args.parameters.rows, outputs = args.parameters.cols;
  const int count = optimizer_slots(args.optimizer.kind, args.optimizer.momentum);
  const float last = args.cumulative_rates[args.step];
  ctx.threads().parallel_for(rows, 4096, [&](std::int64_t from, std::int64_t to, int) {
    for (std::int64_t j = from; j < to; ++j) {
      const bool free = args.intercepts && j == rows - 1;
      const Penalty penalty = free ? Penalty{0, 0} : Penalty{args.optimizer.l1, args.optimizer.l2};
      const std::int32_t seen = args.seen[j];
      const float gap_rate = last - args.cumulative_rates[seen];
      for (std::int64_t c = 0; c < outputs; ++c) {
        float& w = args.parameters(j, c);
        if (args.averages.data) {
          float& average = args.averages(j, c);
          average = (average + static_cast<float>(args.step - seen) * w) /
                    static_cast<float>(std::max(args.step, 1));
        }
        if (!free)
          optimizer_settle(args.optimizer, penalty, gap_rate, w, count > 0 ? args.slots(j, c) : 0,
                           count > 1 ? args.slots(j, outputs + c) : 0);
      }
      args.seen[j] = 0;
    }
  });
}

void linear_batch_slopes(const Context& ctx, const LinearBatchSlopesArgs& args) {
  const std::int64_t rows = args.matrix.samples();
  require(args.parameters.rows == args.matrix.features() + 1,
          "linear_batch_slopes: {} features but {} rows of parameters", args.matrix.features(),
          args.parameters.rows);
  require(args.labels.size == rows && args.row_losses.size == rows &&
              (args.weights.size == 0 || args.weights.size == rows),
          "linear_batch_slopes: {} samples, {} labels, {} weights, {} losses", rows,
          args.labels.size, args.weights.size, args.row_losses.size);
  require(args.slopes.rows == rows && args.slopes.cols == args.parameters.cols,
          "linear_batch_slopes: {} samples of {} outputs, slopes {} x {}", rows,
          args.parameters.cols, args.slopes.rows, args.slopes.cols);
  run_kernel(ctx, "linear_batch_slopes", args, cpu::linear_batch_slopes,
             [](const auto& c, const auto& a) { cuda::linear_batch_slopes(c, a); });
}

void linear_batch_gradient(const Context& ctx, const LinearBatchGradientArgs& args) {
  require_batch("linear_batch_gradient", args.matrix, args.columns, args.slopes);
  const std::int64_t columns = ColumnList(args.columns, args.matrix, args.intercept).size;
  require(args.gradient.rows == columns && args.gradient.cols == args.slopes.cols,
          "linear_batch_gradient: {} columns of {} outputs, gradient {} x {}", columns,
          args.slopes.cols, args.gradient.rows, args.gradient.cols);
  run_kernel(ctx, "linear_batch_gradient", args, cpu::linear_batch_gradient,
             [](const auto& c, const auto& a) { cuda::linear_batch_gradient(c, a); });
}

void linear_batch_update(const Context& ctx, const LinearBatchUpdateArgs& args) {
  const std::int64_t n = args.matrix.features(), outputs = args.parameters.cols;
  const std::int64_t columns = ColumnList(args.columns, args.matrix, args.intercept).size;
  if (!args.gradient.data)
    require_batch("linear_batch_update", args.matrix, args.columns, args.slopes);
  require(args.parameters.rows == n + 1 && args.slots.rows == args.seen.size &&
              args.state_first >= 0 && args.state_first + args.seen.size <= n + 1,
          "linear_batch_update: {} features, {} rows of parameters, {} of slots, {} seen from {}",
          n, args.parameters.rows, args.slots.rows, args.seen.size, args.state_first);
  require(
      args.part_offsets.size == 0 || (args.part_offsets.size == columns + 1 && args.gradient.data),
      "linear_batch_update: {} columns, {} offsets of parts", columns, args.part_offsets.size);
  const int slots = optimizer_slots(args.optimizer.kind, args.optimizer.momentum);
  require(args.slots.cols == slots * outputs, "linear_batch_update: {} slots of {} outputs, but {}",
          slots, outputs, args.slots.cols);
  require(args.first >= 0 && args.first <= args.last && args.last <= columns,
          "linear_batch_update: columns {} to {} of {}", args.first, args.last, columns);
  require(args.step >= 0 && args.step + 1 < args.cumulative_rates.size,
          "linear_batch_update: step {}, {} rates", args.step, args.cumulative_rates.size);
  run_kernel(ctx, "linear_batch_update", args, cpu::linear_batch_update,
             [](const auto& c, const auto& a) { cuda::linear_batch_update(c, a); });
}

void linear_settle(const Context& ctx, const LinearSettleArgs& args) {
  require(args.seen.size == args.parameters.rows && args.slots.rows == args.parameters.rows,
          "linear_settle: {} rows of parameters, {} of slots, {} seen", args.parameters.rows,
          args.slots.rows, args.seen.size);
  require(args.step >= 0 && args.step < args.cumulative_rates.size,
          "linear_settle: step {}, {} rates", args.step, args.cumulative_rates.size);
  run_kernel(ctx, "linear_settle", args, cpu::linear_settle,
             [](const auto& c, const auto& a) { cuda::linear_settle(c, a); });
}

}  // namespace gradmill
