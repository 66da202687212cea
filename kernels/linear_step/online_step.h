// Mini-batches of a linear model with one output on one CPU thread: linear_batch_slopes and
// linear_batch_update in one, for samples that stay where they are and columns that nobody has listed. All
// that a step reads and writes of a column lies in 16 bytes, so that it costs one line of the cache.
#pragma once

#include "kernels/losses.h"
#include "kernels/optimizers.h"
#include "runtime/view.h"

namespace gradmill {

/// A column. `gradient` is 0 between steps.
///   sgd      first: not used;  second: the bits of `seen`, the step after its last update
///   adagrad  first: its slot;  second: as above
///   ftrl     first, second: its slots
struct alignas(16) OnlineCell {
  float weight, gradient, first, second;
};

/// Whether a step like this is there: sgd without momentum, adagrad, ftrl.
bool has_online_step(const OptimizerStep& optimizer);

/// Entries that `touched` must have beyond those of the batch, and cells beyond those of the features and
/// the intercept.
inline constexpr std::int64_t kOnlineSpare = 16;
inline constexpr std::int64_t kOnlineSpareCells = 1;

/// Effects  as linear_batch_slopes and then linear_batch_update without averages, on cells [n + 1] of the n features
///          and the intercept; returns the sum of the batch's losses. `next` rows are only asked for.
/// Shapes   samples [N, n]; rows: of the batch; labels [N]; weights [N] or empty; margins: scratch of 4 |rows|;
///          touched: scratch of the batch's entries + kOnlineSpare; cells [n + 1 + kOnlineSpareCells].
/// Bytes    8 nnz (4 without values), twice, the second time from the cache; 32 a touched column.
/// FLOPs    4 nnz and the optimizer's.
/// Order    of the rows, and of the entries in them.
struct OnlineStepArgs {
  CsrView<const float> samples;
  VectorView<const std::int32_t> rows, next;
  VectorView<const float> labels, weights;
  Loss loss_kind;
  bool intercept = true;
  float scale = 1;
  OptimizerStep optimizer;
  std::int32_t step = 0;  // within the epoch
  VectorView<const float> cumulative_rates;
  VectorView<OnlineCell> cells;
  VectorView<float> margins;
  VectorView<std::int32_t> touched;
};
double online_step(const OnlineStepArgs& args);

/// linear_settle of cells [n + 1], after `step` steps: the end of an epoch.
void online_settle(const OptimizerStep& optimizer, std::int32_t step,
                   VectorView<const float> cumulative_rates, VectorView<OnlineCell> cells);

}  // namespace gradmill
