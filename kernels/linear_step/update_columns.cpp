#include "kernels/linear_step/update_columns.h"

#include <algorithm>

namespace gradmill {
namespace {
constexpr int kBlock = 128;

/// What one column of a batch brings and takes.
struct Column {
  std::int64_t row, state;
  int gap;
  float gap_rate;
  float* sums;  // of the gradient
  Column(const LinearBatchUpdateArgs& a, const ColumnList& columns, std::int64_t k)
      : row(columns[k]),
        state(row - a.state_first),
        gap(a.step + 1 - a.seen[state]),
        gap_rate(a.cumulative_rates[a.step + 1] - a.cumulative_rates[a.seen[state]]),
        sums(a.gradient.data ? const_cast<float*>(a.gradient.row(k)) : a.accumulator.row(row)) {}
};

/// A column with all its outputs.
void update_one(const LinearBatchUpdateArgs& a, const Column& column) {
  const bool free = column.row == a.matrix.features();
  const Penalty penalty = free ? Penalty{0, 0} : Penalty{a.optimizer.l1, a.optimizer.l2};
  const std::int64_t outputs = a.parameters.cols;
  float* const w = a.parameters.row(column.row);
  float* const slots = a.slots.row(column.state);
  const int count = optimizer_slots(a.optimizer.kind, a.optimizer.momentum);
  float unused = 0;
  for (std::int64_t c = 0; c < outputs; ++c) {
    const float old = w[c];
    optimizer_update(a.optimizer, penalty, column.sums[c], column.gap, column.gap_rate, w[c],
                     count > 0 ? slots[c] : unused, count > 1 ? slots[outputs + c] : unused);
    if (a.averages.data)
      a.averages(column.state, c) += static_cast<float>(column.gap - 1) * old + w[c];
  }
  a.seen[column.state] = a.step + 1;
  if (!a.gradient.data) std::fill_n(column.sums, outputs, 0.0f);
}

/// Columns of one output by blocks: scattered values are brought together, so that the formulas run in
/// vectors. The kind is a constant for the compiler's sake.
template <OptimizerKind kind, int slots>
void update_block(const LinearBatchUpdateArgs& a, const ColumnList& columns, std::int64_t first,
                  int count) {
  float w[kBlock], s0[kBlock], s1[kBlock], g[kBlock], gap_rate[kBlock];
  int gap[kBlock];
  for (int i = 0; i < count; ++i) {
    const Column column(a, columns, first + i);
    w[i] = a.parameters.data[column.row];
    if constexpr (slots > 0) s0[i] = a.slots.data[column.state * slots];
    if constexpr (slots > 1) s1[i] = a.slots.data[column.state * slots + 1];
    g[i] = *column.sums;
    gap[i] = column.gap;
    gap_rate[i] = column.gap_rate;
    if (!a.gradient.data) *column.sums = 0;
  }
  OptimizerStep step = a.optimizer;
  step.kind = kind;
  if constexpr (slots == 0) step.momentum = 0;
  const Penalty penalty{step.l1, step.l2};
  for (int i = 0; i < count; ++i)
    optimizer_update(step, penalty, g[i], gap[i], gap_rate[i], w[i], s0[i], s1[i]);
  for (int i = 0; i < count; ++i) {
    const std::int64_t row = columns[first + i], state = row - a.state_first;
    if (a.averages.data)
      a.averages.data[state] += static_cast<float>(gap[i] - 1) * a.parameters.data[row] + w[i];
    a.parameters.data[row] = w[i];
    if constexpr (slots > 0) a.slots.data[state * slots] = s0[i];
    if constexpr (slots > 1) a.slots.data[state * slots + 1] = s1[i];
    a.seen[state] = a.step + 1;
  }
}

template <OptimizerKind kind, int slots>
void update_blocks(const LinearBatchUpdateArgs& a, const ColumnList& columns, std::int64_t last) {
  for (std::int64_t k = a.first; k < last; k += kBlock)
    update_block<kind, slots>(a, columns, k,
                              static_cast<int>(std::min<std::int64_t>(kBlock, last - k)));
}
}  // namespace

void update_columns(const LinearBatchUpdateArgs& a, const ColumnList& columns) {
  std::int64_t last = a.last;
  // Columns ascend, so the intercept, which has no penalty, is the last.
  if (last > a.first && columns[last - 1] == a.matrix.features())
    update_one(a, Column(a, columns, --last));
  const bool packed =
      a.parameters.stride == 1 && (a.averages.data == nullptr || a.averages.stride == 1) &&
      (a.gradient.data || a.accumulator.stride == 1) && a.slots.stride == a.slots.cols;
  if (!packed || a.parameters.cols != 1) {
    for (std::int64_t k = a.first; k < last; ++k) update_one(a, Column(a, columns, k));
    return;
  }
  switch (a.optimizer.kind) {
    case OptimizerKind::sgd:
      if (a.optimizer.momentum != 0) return update_blocks<OptimizerKind::sgd, 1>(a, columns, last);
      return update_blocks<OptimizerKind::sgd, 0>(a, columns, last);
    case OptimizerKind::adagrad:
      return update_blocks<OptimizerKind::adagrad, 1>(a, columns, last);
    case OptimizerKind::adam:
      return update_blocks<OptimizerKind::adam, 2>(a, columns, last);
    case OptimizerKind::adamw:
      return update_blocks<OptimizerKind::adamw, 2>(a, columns, last);
    case OptimizerKind::ftrl:
      return update_blocks<OptimizerKind::ftrl, 2>(a, columns, last);
  }
}

}  // namespace gradmill
