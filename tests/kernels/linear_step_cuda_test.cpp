#include <gtest/gtest.h>

#include <numeric>

#include "kernels/linear_pass/linear_pass.h"
#include "kernels/linear_step/linear_step.h"
#include "models/linear/transpose.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/linear_reference.h"
#include "tests/support/random_ratings.h"
#include "tests/support/random_samples.h"

namespace gradmill {
namespace {
using testing::Doubles;
using testing::expect_device_matches;
using testing::LinearReference;
using testing::random_samples;
using testing::random_values;
using testing::SamplesShape;

/// A batch with its columns, and parameters in the middle of an epoch.
struct Batch {
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
  std::vector<std::int32_t> seen;
  static constexpr std::int32_t kStep = 5;

  Batch(const SamplesShape& shape, bool dense, bool intercept, std::int64_t outputs,
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
      testing::for_entries(samples, [&](std::size_t r, std::size_t f, double v) {
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
    for (std::int64_t j = 0; j <= n; ++j)
      seen.push_back(static_cast<std::int32_t>(j % (kStep + 1)));
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
};

void expect_step(const Context& gpu, const SamplesShape& shape, bool dense, bool intercept,
                 std::int64_t outputs, LossKind loss, OptimizerStep optimizer) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.features) +
               (dense ? " dense, " : ", ") + std::to_string(outputs) + " outputs, optimizer " +
               std::to_string(static_cast<int>(optimizer.kind)));
  const Context cpu = Context::cpu(1);
  Batch b(shape, dense, intercept, outputs, optimizer);
  const LinearBatchSlopesArgs slopes{.matrix = b.matrix(),
                                     .labels = Batch::view(b.samples.labels),
                                     .weights = Batch::view(b.samples.weights),
                                     .loss_kind = {loss},
                                     .intercept = intercept,
                                     .scale = 0.5f,
                                     .parameters = b.table(b.parameters, outputs),
                                     .row_losses = Batch::view(b.losses),
                                     .slopes = {b.slopes.data(), b.rows, outputs, outputs, {}}};
  // In double precision.
  expect_device_matches(
      gpu, "linear_batch_slopes", slopes, LinearBatchSlopesArgs::tolerance,
      [](const auto& c, const auto& a) { linear_batch_slopes(c, a); },
      [&](const auto&) {
        const LinearReference reference(b.samples, outputs);
        std::vector<float> w(static_cast<std::size_t>(outputs * b.n)), bias;
        for (std::int64_t c = 0; c < outputs; ++c) {
          for (std::int64_t j = 0; j < b.n; ++j)
            w[static_cast<std::size_t>(c * b.n + j)] = slopes.parameters(j, c);
          bias.push_back(intercept ? slopes.parameters(b.n, c) : 0.0f);
        }
        const auto losses = reference.losses({loss}, reference.margins(w, bias));
        for (std::size_t i = 0; i < b.losses.size(); ++i)
          b.losses[i] = static_cast<float>(losses.rows[i]);
        for (std::size_t i = 0; i < b.slopes.size(); ++i)
          b.slopes[i] = static_cast<float>(0.5 * losses.slopes[i]);
      });
  const MatrixView<const float> given{b.slopes.data(), b.rows, outputs, outputs, {}};
  const MatrixView<float> gradient{b.gradient.data(), b.size(), outputs, outputs, {}};
  MatrixView<float> accumulator = b.table(b.accumulator, table_stride(outputs));
  accumulator.cols = outputs;
  expect_device_matches(
      gpu, "linear_batch_gradient",
      LinearBatchGradientArgs{b.matrix(), b.batch_columns(), intercept, given, gradient,
                              accumulator},
      LinearBatchGradientArgs::tolerance,
      [](const auto& c, const auto& a) { linear_batch_gradient(c, a); },
      [&](const auto& a) { linear_batch_gradient(cpu, a); });

  for (const bool summed : {false, true})
    for (const bool part : {false, true}) {
      LinearBatchUpdateArgs update{
          .matrix = b.matrix(),
          .columns = b.batch_columns(),
          .intercept = intercept,
          .slopes = given,
          .gradient = {},
          .part_offsets = {},
          .parts = {},
          .first = part ? b.size() / 3 : 0,
          .last = part ? b.size() * 2 / 3 : b.size(),
          .optimizer = optimizer,
          .step = Batch::kStep,
          .cumulative_rates = Batch::view(b.rates),
          .parameters = b.table(b.parameters, outputs),
          .slots = b.table(b.state, outputs * b.slots),
          .seen = Batch::view(b.seen),
          .averages = part ? MatrixView<float>{} : b.table(b.averages, outputs),
          .accumulator = accumulator};
      if (summed) update.gradient = gradient;
      if (part && !summed) continue;  // a share of the columns comes with the ranks' sums
      expect_device_matches(
          gpu, "linear_batch_update", update, LinearBatchUpdateArgs::tolerance,
          [](const auto& c, const auto& a) { linear_batch_update(c, a); },
          [&](const auto& a) { linear_batch_update(cpu, a); });
      for (std::size_t j = 0; j < b.seen.size(); ++j)
        b.seen[j] = static_cast<std::int32_t>(j % (Batch::kStep + 1));
    }
  expect_device_matches(
      gpu, "linear_settle",
      LinearSettleArgs{.optimizer = optimizer,
                       .step = Batch::kStep,
                       .cumulative_rates = Batch::view(b.rates),
                       .parameters = b.table(b.parameters, outputs),
                       .slots = b.table(b.state, outputs * b.slots),
                       .seen = Batch::view(b.seen),
                       .averages = b.table(b.averages, outputs)},
      LinearSettleArgs::tolerance, [](const auto& c, const auto& a) { linear_settle(c, a); },
      [&](const auto& a) { linear_settle(cpu, a); });
}

std::vector<OptimizerStep> optimizers() {
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

TEST(LinearStep, CudaHasEveryOptimizer) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const OptimizerStep& optimizer : optimizers())
    for (const std::int64_t outputs : {1, 3}) {
      const int classes = outputs == 1 ? 2 : 3;
      const LossKind loss = outputs == 1 ? LossKind::logistic : LossKind::softmax;
      expect_step(*gpus[0], {64, 300, {0, 9, 4}, true, true, classes}, false, true, outputs, loss,
                  optimizer);
      expect_step(*gpus[0], {64, 20, {20, 9}, true, false, classes}, true, true, outputs, loss,
                  optimizer);
    }
}

TEST(LinearStep, CudaHasEveryShape) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const OptimizerStep adagrad = optimizers()[1];
  for (const std::int64_t outputs : {1, 3, 10, 33, 100, 130}) {
    const int classes = outputs == 1 ? 2 : static_cast<int>(outputs);
    for (const LossKind loss : {LossKind::logistic, LossKind::softmax}) {
      if (outputs == 1 && loss == LossKind::softmax) continue;
      for (const bool intercept : {true, false}) {
        const auto check = [&](const SamplesShape& shape, bool dense) {
          expect_step(*gpus[0], shape, dense, intercept, outputs, loss, adagrad);
        };
        check({0, 5, {1}, true, false, classes}, false);
        check({1, 1, {1}, true, false, classes}, false);
        check({31, 50, {0, 3, 30}, false, true, classes}, false);
        if (outputs > 10 && !intercept) continue;
        check(outputs > 10 ? SamplesShape{65, 400, {1, 0, 40}, true, true, classes, 3}
                           : SamplesShape{257, 1000, {1, 0, 40, 200}, true, true, classes, 3},
              false);
        check({33, 33, {33, 20}, true, true, classes}, true);
      }
    }
  }
  expect_step(*gpus[0], {4000, 500, {1, 30}, true, true, 2, 4}, false, true, 1, LossKind::logistic,
              adagrad);
}

}  // namespace
}  // namespace gradmill
