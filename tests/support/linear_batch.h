// A mini-batch of a linear model for tests of its kernels.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/linear_pass/linear_pass.h"
#include "kernels/linear_step/linear_step.h"
#include "models/linear/transpose.h"
#include "tests/support/linear_reference.h"
#include "tests/support/random_ratings.h"
#include "tests/support/random_samples.h"

namespace gradmill::testing {

/// A batch with its columns, and parameters in the middle of an epoch.
struct LinearBatch {
  Samples samples;
  bool dense, intercept;
  std::int64_t n, rows, outputs;
  int slots;
  OptimizerStep optimizer;
  std::vector<float> cells;
  std::vector<std::int32_t> columns, entry_rows;
  std::vector<std::int64_t> offsets;
  std::vector<float> entry_values, parameters, state, averages, slopes, losses, gradient,
      accumulator, rates;
  std::vector<std::int32_t> seen, part_offsets, parts;
  std::vector<float> pieces;
  static constexpr std::int32_t kStep = 5;

  LinearBatch(const SamplesShape& shape, bool dense, bool intercept, std::int64_t outputs,
              OptimizerStep step)
      : samples(random_samples(shape, 1)),
        dense(dense),
        intercept(intercept),
        n(shape.features),
        rows(shape.rows),
        outputs(outputs),
        slots(optimizer_slots(step.kind, step.momentum)),
        optimizer(step) {
    if (dense) {
      cells.assign(static_cast<std::size_t>(rows * n), 0.0f);
      for_entries(samples, [&](std::size_t r, std::size_t f, double v) {
        cells[r * static_cast<std::size_t>(n) + f] = static_cast<float>(v);
      });
    } else {
      by_column();
    }
    parameters = random_values((n + 1) * outputs, 2, 0.3f);
    for (const float v : random_values((n + 1) * outputs * std::max(slots, 1), 3))
      state.push_back(std::abs(v));
    averages = random_values((n + 1) * outputs, 4);
    slopes.resize(static_cast<std::size_t>(rows * outputs));
    losses.resize(static_cast<std::size_t>(rows));
    gradient.resize(static_cast<std::size_t>(size() * outputs));
    accumulator.resize(static_cast<std::size_t>((n + 1) * table_stride(outputs)));
    seen.resize(static_cast<std::size_t>(n + 1));
    reset_seen();
    for (int t = 0; t <= kStep + 1; ++t) rates.push_back(0.1f * static_cast<float>(t));
  }

  void by_column() {
    const Context cpu = Context::cpu(1);
    const SampleColumns all = transpose(cpu, matrix().rows);
    const auto from = all.offsets.to_host();
    const auto r = all.indices.to_host();
    const auto v = all.values.to_host();
    offsets.push_back(7);  // need not start at 0
    for (std::int64_t j = 0; j < n; ++j) {
      const auto a = from[static_cast<std::size_t>(j)], b = from[static_cast<std::size_t>(j) + 1];
      // A column that only other ranks have: no entries here.
      if (a == b && j % 5 != 0) continue;
      columns.push_back(static_cast<std::int32_t>(j));
      offsets.push_back(offsets.back() + b - a);
    }
    entry_rows = r;
    entry_values = v;
    if (!intercept) return;
    columns.push_back(static_cast<std::int32_t>(n));
    offsets.push_back(offsets.back() + rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      entry_rows.push_back(static_cast<std::int32_t>(i));
      if (!samples.values.empty()) entry_values.push_back(1);
    }
  }
  std::int64_t size() const {
    return dense ? n + intercept : static_cast<std::int64_t>(columns.size());
  }
  SampleMatrix matrix() const {
    SampleMatrix m;
    if (dense)
      m.dense = {cells.data(), rows, n, n, {}};
    else
      m.rows = {rows,
                n,
                samples.offsets.back(),
                samples.offsets.data(),
                samples.indices.data(),
                samples.values.empty() ? nullptr : samples.values.data(),
                {}};
    return m;
  }
  template <class T>
  static auto view(std::vector<T>& v) {
    return VectorView<T>{v.empty() ? nullptr : v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
  BatchColumns batch_columns() {
    return {view(columns), view(offsets), view(entry_rows), view(entry_values)};
  }
  MatrixView<float> table(std::vector<float>& v, std::int64_t width) {
    return {v.data(), n + 1, width, width, {}};
  }

  void reset_seen() {
    for (std::size_t j = 0; j < seen.size(); ++j)
      seen[j] = static_cast<std::int32_t>(j % (kStep + 1));
  }
  std::int64_t column(std::int64_t k) const {
    return dense ? k : columns[static_cast<std::size_t>(k)];
  }
  /// The gradient as sums of what `ranks` ranks send, each of some columns.
  void split_gradient(int ranks) {
    pieces.clear();
    parts.clear();
    part_offsets.assign(1, 0);
    for (std::int64_t k = 0; k < size(); ++k) {
      for (int r = 0; r <= k % ranks; ++r) {
        parts.push_back(static_cast<std::int32_t>(parts.size()));
        for (std::int64_t c = 0; c < outputs; ++c)
          pieces.push_back(gradient[static_cast<std::size_t>(k * outputs + c)] /
                           static_cast<float>(k % ranks + 1));
      }
      part_offsets.push_back(static_cast<std::int32_t>(parts.size()));
    }
  }
  MatrixView<const float> all_parts() const {
    return {pieces.data(), static_cast<std::int64_t>(parts.size()), outputs, outputs, {}};
  }
};

/// Every optimizer, in its sixth step.
inline std::vector<OptimizerStep> step_optimizers() {
  std::vector<OptimizerStep> all;
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adagrad, OptimizerKind::adam,
                                   OptimizerKind::adamw, OptimizerKind::ftrl})
    all.push_back({.kind = kind,
                   .rate = 0.1f,
                   .l1 = 0.01f,
                   .l2 = 0.02f,
                   .steps = 6,
                   .unbias1 = 2,
                   .unbias2 = 30});
  all.push_back(all[0]);
  all.back().momentum = 0.9f;
  return all;
}

}  // namespace gradmill::testing
