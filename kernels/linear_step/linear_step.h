// A mini-batch of a linear model: at most three launches, nothing read back by the host.
//   linear_batch_slopes     margins, losses and slopes of the batch's rows
//   linear_batch_gradient   only with several ranks: the gradient of the batch's columns, packed, which
//                           the ranks then add
//   linear_batch_update     per column: gradient, penalty of the steps it missed, optimizer
// and once an epoch linear_settle. Parameters are feature-major, [n + 1, C]: row j is feature j, row n the
// intercepts, which a batch sees as a column of ones, and which have no penalty.
#pragma once

#include "kernels/losses.h"
#include "kernels/optimizers.h"
#include "kernels/sample_matrix.h"
#include "runtime/check.h"

namespace gradmill {

/// margins[i, c] = <x_i, parameters[:, c]> + (intercept: parameters[n, c]);
/// row_losses[i] = s_i L_i (one against the rest: summed over c); slopes[i, c] = scale s_i dL_i/dm[i, c].
/// Labels and classes as in LinearGradientArgs.
/// Shapes   matrix [B, n]; labels [B]; weights [B] or empty; parameters [n + 1, C], row stride >= C;
///          row_losses [B]; slopes [B, C].
/// Bytes    8 nnz (4 without values) + gathers of 4 C nnz + 8 B (C + 2).     FLOPs  2 C nnz.
/// Order    CPU: fixed by the row alone. CUDA: by the row and where its entries lie.
struct LinearBatchSlopesArgs {
  SampleMatrix matrix;  // rows only
  VectorView<const float> labels;
  VectorView<const float> weights;
  Loss loss_kind;
  bool intercept = true;
  float scale = 1;
  MatrixView<const float> parameters;
  VectorView<float> row_losses;
  MatrixView<float> slopes;

  static constexpr Tolerance tolerance{1e-3, 1e-4};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    v.in("labels", labels);
    v.in("weights", weights);
    v.in("parameters", parameters);
    v.out("row_losses", row_losses);
    v.out("slopes", slopes);
  }
};

/// The columns that a batch touches on any rank, ascending; n is the intercept, if there is one. Dense rows:
/// no columns, which means all of 0 .. n (n - 1 without an intercept).
/// The entries by column are this rank's: of column k offsets[k] .. offsets[k + 1] (offsets need not
/// start at 0; entry e is rows[e - offsets[0]]), ascending rows; the intercept has all rows with value 1.
/// They are there only if linear_batch_reads_columns(ctx).
struct BatchColumns {
  VectorView<const std::int32_t> columns;  // [T]
  VectorView<const std::int64_t> offsets;  // [T + 1] or empty
  VectorView<const std::int32_t> rows;     // [entries]: row within the batch
  VectorView<const float> values;          // [entries] or empty: all 1
  template <class V>
  void visit(V& v) {
    v.in("columns", columns);
    v.in("offsets", offsets);
    v.in("entry_rows", rows);
    v.in("entry_values", values);
  }
};
/// Whether this device's kernels need the entries by column: CUDA's; the CPU scatters rows.
bool linear_batch_reads_columns(const Context& ctx);

/// gradient[k, c] = sum_i slopes[i, c] x[i, columns_k] over this rank's rows of the batch.
/// Shapes   matrix [B, n]; slopes [B, C]; gradient [T, C] packed; accumulator [n + 1, C].
/// Effects  overwrites gradient. The accumulator is zero before and after (CPU only; else no data).
/// Bytes    8 nnz (4 without values) + 4 C (B + T).     FLOPs  2 C nnz.
/// Order    ascending rows, in fixed chunks; bits depend on the arguments only.
struct LinearBatchGradientArgs {
  SampleMatrix matrix;
  BatchColumns columns;
  bool intercept = true;
  MatrixView<const float> slopes;
  MatrixView<float> gradient;
  MatrixView<float> accumulator;

  static constexpr Tolerance tolerance{1e-3, 1e-4};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    columns.visit(v);
    v.in("slopes", slopes);
    v.out("gradient", gradient);
    v.scratch("accumulator", accumulator);
  }
};
void linear_batch_gradient(const Context& ctx, const LinearBatchGradientArgs& args);

/// For each column k (j = columns_k) with g = the batch's gradient, gap = step + 1 - seen[j],
/// gap_rate = cumulative_rates[step + 1] - cumulative_rates[seen[j]]:
///   optimizer_update(optimizer, g, gap, gap_rate, parameters[j], slots[j]);
///   averages[j] += (gap - 1) old parameters[j] + new parameters[j];   seen[j] = step + 1.
/// Shapes   parameters [n + 1, C]; slots [m, S C], slot s of class c in column s C + c, S =
///          optimizer_slots(); seen [m]; averages [m, C] or no data: of the m rows of parameters from
///          state_first on (a rank's own of sharded state; else 0 and m = n + 1); cumulative_rates [steps + 1].
///          gradient: no data: it is summed from matrix, columns and slopes as by linear_batch_gradient, and
///          not stored; [T, C]: already added over ranks; or, with part_offsets [T + 1] and parts, of column
///          k the sum of its rows parts[part_offsets[k]] .. parts[part_offsets[k + 1] - 1], in this order.
///          [first, last): the columns_k that are updated; all: [0, T).
/// Bytes    4 T (2 C (1 + S) + C + 3), and without `gradient` those of linear_batch_gradient.
/// Order    as linear_batch_gradient.
struct LinearBatchUpdateArgs {
  SampleMatrix matrix;
  BatchColumns columns;
  bool intercept = true;
  MatrixView<const float> slopes;
  MatrixView<const float> gradient;
  VectorView<const std::int32_t> part_offsets, parts;
  std::int64_t first = 0, last = 0;
  OptimizerStep optimizer;
  std::int32_t step = 0;  // within the epoch, from 0
  VectorView<const float> cumulative_rates;
  MatrixView<float> parameters;
  std::int64_t state_first = 0;
  MatrixView<float> slots;
  VectorView<std::int32_t> seen;
  MatrixView<float> averages;
  MatrixView<float> accumulator;  // as in LinearBatchGradientArgs

  static constexpr Tolerance tolerance{1e-3, 1e-4};
  template <class V>
  void visit(V& v) {
    matrix.visit(v);
    columns.visit(v);
    v.in("slopes", slopes);
    v.in("gradient", gradient);
    v.in("part_offsets", part_offsets);
    v.in("parts", parts);
    v.in("cumulative_rates", cumulative_rates);
    v.out("parameters", parameters);
    v.out("slots", slots);
    v.out("seen", seen);
    v.out("averages", averages);
    v.scratch("accumulator", accumulator);
  }
};

/// The end of an epoch of `step` steps: for every row j of parameters but that of the intercepts
///   averages[j] += (step - seen[j]) parameters[j];
///   optimizer_settle(optimizer, cumulative_rates[step] - cumulative_rates[seen[j]], parameters[j], slots[j]);
/// and for all rows seen[j] = 0, averages[j] /= step (the intercepts' row, too).
/// Shapes   parameters, averages [m, C], slots [m, S C], seen [m]: all n + 1 rows, or a rank's own.
/// Bytes    4 m (2 C (1 + S) + 2).
struct LinearSettleArgs {
  OptimizerStep optimizer;
  bool intercepts = true;  // whether the last row is theirs
  std::int32_t step = 0;
  VectorView<const float> cumulative_rates;
  MatrixView<float> parameters;
  MatrixView<const float> slots;
  VectorView<std::int32_t> seen;
  MatrixView<float> averages;  // or no data

  static constexpr Tolerance tolerance{1e-5, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("cumulative_rates", cumulative_rates);
    v.out("parameters", parameters);
    v.in("slots", slots);
    v.out("seen", seen);
    v.out("averages", averages);
  }
};

void linear_batch_slopes(const Context& ctx, const LinearBatchSlopesArgs& args);
void linear_batch_update(const Context& ctx, const LinearBatchUpdateArgs& args);
void linear_settle(const Context& ctx, const LinearSettleArgs& args);
namespace cpu {
void linear_batch_slopes(const Context& ctx, const LinearBatchSlopesArgs& args);
void linear_batch_gradient(const Context& ctx, const LinearBatchGradientArgs& args);
void linear_batch_update(const Context& ctx, const LinearBatchUpdateArgs& args);
void linear_settle(const Context& ctx, const LinearSettleArgs& args);
}  // namespace cpu
namespace cuda {
void linear_batch_slopes(const Context& ctx, const LinearBatchSlopesArgs& args);
void linear_batch_gradient(const Context& ctx, const LinearBatchGradientArgs& args);
void linear_batch_update(const Context& ctx, const LinearBatchUpdateArgs& args);
void linear_settle(const Context& ctx, const LinearSettleArgs& args);
}  // namespace cuda

}  // namespace gradmill
