#include "kernels/sample_losses/sample_losses.h"

#include <algorithm>

#include "kernels/linear_pass/row_losses.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunkRows = 256;

/// Several outputs, each with a target of its own.
double multi_output(const SampleLossesArgs& args, float scale, std::int64_t row) {
  const float weight = args.weights.size ? args.weights[row] : 1.0f;
  double sum = 0;
  for (std::int64_t c = 0; c < args.margins.cols; ++c) {
    const PointLoss point = point_loss(args.loss_kind, args.margins(row, c), args.targets(row, c));
    sum += point.value;
    if (args.slopes.data) args.slopes(row, c) = scale * weight * point.slope;
  }
  return weight * sum;
}
}  // namespace

void cpu::sample_losses(const Context& ctx, const SampleLossesArgs& args) {
  const std::int64_t rows = args.margins.rows, outputs = args.margins.cols;
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(chunks).data;
  float* unwanted = args.slopes.data
                        ? nullptr
                        : scratch.take<float>(ctx.threads().size() * kChunkRows * outputs).data;
  const float scale = slope_scale(args);
  const RowLosses losses{.loss = args.loss_kind,
                         .outputs = outputs,
                         .labels = args.labels,
                         .weights = args.weights,
                         .scale = scale};
  ctx.threads().parallel_for(chunks, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t c = begin; c < end; ++c) {
      const std::int64_t first = c * kChunkRows, count = std::min(kChunkRows, rows - first);
      sums[c] = 0;
      if (args.targets.data) {
        for (std::int64_t r = 0; r < count; ++r) sums[c] += multi_output(args, scale, first + r);
        continue;
      }
      for (std::int64_t r = 0; r < count; ++r) {
        float* slopes =
            unwanted ? unwanted + thread * kChunkRows * outputs : args.slopes.row(first + r);
        sums[c] += losses.evaluate(first + r, 1, outputs, args.margins.row(first + r), slopes,
                                   nullptr, nullptr);
      }
    }
  });
  double sum = 0;
  for (std::int64_t c = 0; c < chunks; ++c) sum += sums[c];
  put_loss(args, sum);
}

void sample_losses(const Context& ctx, const SampleLossesArgs& args) {
  const std::int64_t rows = args.margins.rows, outputs = args.margins.cols;
  require(args.targets.data ? args.targets.rows == rows && args.targets.cols == outputs
                            : args.labels.size == rows,
          "sample_losses: {} rows, {} labels, [{}, {}] targets", rows, args.labels.size,
          args.targets.rows, args.targets.cols);
  require(args.weights.size == 0 || args.weights.size == rows, "sample_losses: {} rows, {} weights",
          rows, args.weights.size);
  require(!args.slopes.data || (args.slopes.rows == rows && args.slopes.cols == outputs),
          "sample_losses: slopes [{}, {}]", args.slopes.rows, args.slopes.cols);
  require(args.ticket.size == 1, "sample_losses: {} tickets", args.ticket.size);
  if (rows == 0) return;
  run_kernel(ctx, "sample_losses", args, cpu::sample_losses,
             [](const auto& c, const auto& a) { cuda::sample_losses(c, a); });
}

}  // namespace gradmill
