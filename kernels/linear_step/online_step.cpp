#include "kernels/linear_step/online_step.h"

#include <algorithm>
#include <bit>

#include "kernels/linear_pass/row_losses.h"

namespace gradmill {
namespace {
typedef float Vec4 __attribute__((vector_size(16), may_alias));
typedef float Vec8 __attribute__((vector_size(32)));
typedef float Vec16 __attribute__((vector_size(64)));
typedef std::int32_t Int16 __attribute__((vector_size(64)));
constexpr int kLanes = 16;
constexpr std::int64_t kRowsAhead = 20, kLineEntries = 16;
constexpr std::int64_t kCellRowsAhead = 4,
                       kNearCells = 1 << 17;  // of 16 bytes: more leave the L2 cache

bool has_penalty(const OptimizerStep& o) { return o.l1 != 0 || o.l2 != 0; }

std::int32_t seen_of(const OnlineCell& cell) { return std::bit_cast<std::int32_t>(cell.second); }

/// Sixteen cells, field by field. Which lane has which cell does not matter as long as both directions agree.
struct Fields {
  Vec16 weight, gradient, first, second;
};

Vec16 join(Vec4 a, Vec4 b, Vec4 c, Vec4 d) {
  const Vec8 low = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
  const Vec8 high = __builtin_shufflevector(c, d, 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/// Transposes the four 4 x 4 matrices whose rows are the quarters of the fields.
void transpose_quarters(Fields& f) {
  const auto low = [](Vec16 a, Vec16 b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  };
  const auto high = [](Vec16 a, Vec16 b) {
    return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15,
                                   31);
  };
  const auto low_pairs = [](Vec16 a, Vec16 b) {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  };
  const auto high_pairs = [](Vec16 a, Vec16 b) {
    return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30,
                                   31);
  };
  const Vec16 a = low(f.weight, f.gradient), b = high(f.weight, f.gradient);
  const Vec16 c = low(f.first, f.second), d = high(f.first, f.second);
  f = {low_pairs(a, c), high_pairs(a, c), low_pairs(b, d), high_pairs(b, d)};
}

Fields gather(const OnlineCell* cells, const std::int32_t* columns) {
  const auto quarter = [&](int q) {
    const auto cell = [&](int i) {
      return *reinterpret_cast<const Vec4*>(cells + columns[q + 4 * i]);
    };
    return join(cell(0), cell(1), cell(2), cell(3));
  };
  Fields f{quarter(0), quarter(1), quarter(2), quarter(3)};
  transpose_quarters(f);
  return f;
}

void scatter(Fields f, OnlineCell* cells, const std::int32_t* columns) {
  transpose_quarters(f);
  const auto quarter = [&](int q, Vec16 v) {
    const auto put = [&](int i, Vec4 cell) {
      *reinterpret_cast<Vec4*>(cells + columns[q + 4 * i]) = cell;
    };
    put(0, __builtin_shufflevector(v, v, 0, 1, 2, 3));
    put(1, __builtin_shufflevector(v, v, 4, 5, 6, 7));
    put(2, __builtin_shufflevector(v, v, 8, 9, 10, 11));
    put(3, __builtin_shufflevector(v, v, 12, 13, 14, 15));
  };
  quarter(0, f.weight);
  quarter(1, f.gradient);
  quarter(2, f.first);
  quarter(3, f.second);
}

struct Row {
  const std::int32_t* indices;
  const float* values;  // or nullptr: all 1
  std::int64_t size;
  Row(const CsrView<const float>& m, std::int64_t row)
      : indices(m.indices + m.offsets[row]),
        values(m.values ? m.values + m.offsets[row] : nullptr),
        size(m.offsets[row + 1] - m.offsets[row]) {}
  void ask_for() const {
    for (std::int64_t e = 0; e < size + kLineEntries; e += kLineEntries) {
      const std::int64_t at = std::min(e, size);
      __builtin_prefetch(indices + at);
      if (values) __builtin_prefetch(values + at);
    }
  }
  void ask_for_cells(const OnlineCell* cells) const {
    for (std::int64_t e = 0; e < size; ++e) __builtin_prefetch(cells + indices[e]);
  }
};

template <bool ones>
float dot(const Row& row, const OnlineCell* cells) {
  constexpr int kSums = 8;
  float s[kSums] = {};
  std::int64_t e = 0;
  for (; e + kSums <= row.size; e += kSums)
    for (int k = 0; k < kSums; ++k)
      s[k] += (ones ? 1.0f : row.values[e + k]) * cells[row.indices[e + k]].weight;
  for (; e < row.size; ++e) s[0] += (ones ? 1.0f : row.values[e]) * cells[row.indices[e]].weight;
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/// Adds slope x to the gradients; lists columns whose gradient was 0 before. One that is listed twice, because it has
/// become 0 again, is no harm: its second update has nothing left to do.
template <bool ones>
std::int64_t add_gradient(const Row& row, float slope, OnlineCell* cells, std::int32_t* touched,
                          std::int64_t count) {
  for (std::int64_t e = 0; e < row.size; ++e) {
    const std::int32_t j = row.indices[e];
    const float sum = cells[j].gradient;
    touched[count] = j;
    count += std::bit_cast<std::int32_t>(sum) == 0;
    cells[j].gradient = sum + slope * (ones ? 1.0f : row.values[e]);
  }
  return count;
}

/// Stochastic gradient descent without a penalty: no sums are needed.
template <bool ones>
void add_step(const Row& row, float step, OnlineCell* cells) {
  for (std::int64_t e = 0; e < row.size; ++e)
    cells[row.indices[e]].weight += step * (ones ? 1.0f : row.values[e]);
}

template <OptimizerKind kind, bool penalized>
void update(const OnlineStepArgs& a, std::int64_t count) {
  OptimizerStep step = a.optimizer;
  step.kind = kind;
  step.momentum = 0;
  const Penalty penalty = penalized ? Penalty{step.l1, step.l2} : Penalty{0, 0};
  const float now = a.cumulative_rates[a.step + 1];
  std::fill_n(a.touched.data + count, kLanes, static_cast<std::int32_t>(a.samples.cols + 1));
  for (std::int64_t k = 0; k < count; k += kLanes) {
    const std::int32_t* const columns = a.touched.data + k;
    if (k + 2 * kLanes < count)
      for (int i = 0; i < kLanes; ++i) __builtin_prefetch(a.cells.data + columns[kLanes + i]);
    Fields f = gather(a.cells.data, columns);
    alignas(64) float w[kLanes], g[kLanes], first[kLanes], second[kLanes], gap_rate[kLanes] = {};
    *reinterpret_cast<Vec16*>(w) = f.weight;
    *reinterpret_cast<Vec16*>(g) = f.gradient;
    *reinterpret_cast<Vec16*>(first) = f.first;
    *reinterpret_cast<Vec16*>(second) = f.second;
    if constexpr (penalized && kind != OptimizerKind::ftrl)
      for (int i = 0; i < kLanes; ++i)
        gap_rate[i] = now - a.cumulative_rates[std::bit_cast<std::int32_t>(second[i])];
    for (int i = 0; i < kLanes; ++i)
      optimizer_update(step, penalty, g[i], 1, gap_rate[i], w[i], first[i], second[i]);
    f.weight = *reinterpret_cast<Vec16*>(w);
    f.gradient = Vec16{};
    f.first = *reinterpret_cast<Vec16*>(first);
    if constexpr (kind == OptimizerKind::ftrl)
      f.second = *reinterpret_cast<Vec16*>(second);
    else
      f.second = std::bit_cast<Vec16>(Int16{} + (a.step + 1));
    scatter(f, a.cells.data, columns);
  }
}

template <OptimizerKind kind>
void update_as(const OnlineStepArgs& a, std::int64_t count) {
  if (has_penalty(a.optimizer))
    update<kind, true>(a, count);
  else
    update<kind, false>(a, count);
}

void update_intercept(const OnlineStepArgs& a, const float* slopes) {
  OnlineCell& cell = a.cells[a.samples.cols];
  float sum = 0;
  for (std::int64_t r = 0; r < a.rows.size; ++r) sum += slopes[r];
  optimizer_update(a.optimizer, {0, 0}, sum, 1, 0, cell.weight, cell.first, cell.second);
}

template <bool ones>
void find_margins(const OnlineStepArgs& a) {
  for (std::int64_t r = 0; r < a.rows.size; ++r) {
    const std::int64_t ahead = r + kRowsAhead, beyond = ahead - a.rows.size;
    if (beyond < 0)
      Row(a.samples, a.rows[ahead]).ask_for();
    else if (beyond < a.next.size)
      Row(a.samples, a.next[beyond]).ask_for();
    if (a.cells.size > kNearCells && r + kCellRowsAhead < a.rows.size)
      Row(a.samples, a.rows[r + kCellRowsAhead]).ask_for_cells(a.cells.data);
    a.margins[r] = dot<ones>(Row(a.samples, a.rows[r]), a.cells.data);
  }
}

template <bool ones>
void take_step(const OnlineStepArgs& a, const float* slopes) {
  if (a.optimizer.kind == OptimizerKind::sgd && !has_penalty(a.optimizer)) {
    for (std::int64_t r = 0; r < a.rows.size; ++r)
      add_step<ones>(Row(a.samples, a.rows[r]), -a.optimizer.rate * slopes[r], a.cells.data);
    return;
  }
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < a.rows.size; ++r)
    count = add_gradient<ones>(Row(a.samples, a.rows[r]), slopes[r], a.cells.data, a.touched.data,
                               count);
  if (a.optimizer.kind == OptimizerKind::sgd) return update_as<OptimizerKind::sgd>(a, count);
  if (a.optimizer.kind == OptimizerKind::adagrad)
    return update_as<OptimizerKind::adagrad>(a, count);
  update_as<OptimizerKind::ftrl>(a, count);
}
}  // namespace

bool has_online_step(const OptimizerStep& o) {
  return (o.kind == OptimizerKind::sgd && o.momentum == 0) || o.kind == OptimizerKind::adagrad ||
         o.kind == OptimizerKind::ftrl;
}

double online_step(const OnlineStepArgs& a) {
  const std::int64_t count = a.rows.size;
  float* const slopes = a.margins.data + count;
  float* const labels = slopes + count;
  float* const weights = labels + count;
  const bool ones = a.samples.values == nullptr;
  ones ? find_margins<true>(a) : find_margins<false>(a);
  for (std::int64_t r = 0; r < count; ++r) labels[r] = a.labels[a.rows[r]];
  if (a.weights.size)
    for (std::int64_t r = 0; r < count; ++r) weights[r] = a.weights[a.rows[r]];
  const RowLosses losses{a.loss_kind,
                         1,
                         a.intercept ? &a.cells[a.samples.cols].weight : nullptr,
                         {labels, count, {}},
                         {weights, a.weights.size ? count : 0, {}},
                         a.scale};
  const double loss = losses.evaluate(0, count, 1, a.margins.data, slopes, nullptr, nullptr);
  ones ? take_step<true>(a, slopes) : take_step<false>(a, slopes);
  if (a.intercept) update_intercept(a, slopes);
  return loss;
}

void online_settle(const OptimizerStep& optimizer, std::int32_t step,
                   VectorView<const float> cumulative_rates, VectorView<OnlineCell> cells) {
  if (!has_penalty(optimizer)) return;
  const Penalty penalty{optimizer.l1, optimizer.l2};
  const bool ftrl = optimizer.kind == OptimizerKind::ftrl;
  for (std::int64_t j = 0; j + 1 < cells.size; ++j) {
    OnlineCell& cell = cells[j];
    const float gap_rate = ftrl ? 0 : cumulative_rates[step] - cumulative_rates[seen_of(cell)];
    optimizer_settle(optimizer, penalty, gap_rate, cell.weight, cell.first, cell.second);
    if (!ftrl) cell.second = 0;
  }
}

}  // namespace gradmill
