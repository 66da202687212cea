#include <gtest/gtest.h>

#include "kernels/linear_step/linear_step.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/linear_batch.h"
#include "tests/support/linear_reference.h"

namespace gradmill {
namespace {
using testing::expect_device_matches;
using testing::LinearBatch;
using testing::LinearReference;
using testing::SamplesShape;
using testing::step_optimizers;

void expect_step(const Context& gpu, const SamplesShape& shape, bool dense, bool intercept,
                 std::int64_t outputs, LossKind loss, OptimizerStep optimizer) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.features) +
               (dense ? " dense, " : ", ") + std::to_string(outputs) + " outputs, optimizer " +
               std::to_string(static_cast<int>(optimizer.kind)));
  const Context cpu = Context::cpu(1);
  LinearBatch b(shape, dense, intercept, outputs, optimizer);
  const LinearBatchSlopesArgs slopes{.matrix = b.matrix(),
                                     .labels = LinearBatch::view(b.samples.labels),
                                     .weights = LinearBatch::view(b.samples.weights),
                                     .loss_kind = {loss},
                                     .intercept = intercept,
                                     .scale = 0.5f,
                                     .parameters = b.table(b.parameters, outputs),
                                     .row_losses = LinearBatch::view(b.losses),
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
          .step = LinearBatch::kStep,
          .cumulative_rates = LinearBatch::view(b.rates),
          .parameters = b.table(b.parameters, outputs),
          .slots = b.table(b.state, outputs * b.slots),
          .seen = LinearBatch::view(b.seen),
          .averages = part ? MatrixView<float>{} : b.table(b.averages, outputs),
          .accumulator = accumulator};
      if (summed) update.gradient = gradient;
      if (part && !summed) continue;  // a share of the columns comes with the ranks' sums
      expect_device_matches(
          gpu, "linear_batch_update", update, LinearBatchUpdateArgs::tolerance,
          [](const auto& c, const auto& a) { linear_batch_update(c, a); },
          [&](const auto& a) { linear_batch_update(cpu, a); });
      b.reset_seen();
    }
  // Of three ranks' gradients, and with the state of a part of the columns.
  b.split_gradient(3);
  const std::int64_t first = b.size() / 3, last = b.size() - b.size() / 4,
                     row = first < last ? b.column(first) : 0;
  expect_device_matches(
      gpu, "linear_batch_update of parts",
      LinearBatchUpdateArgs{
          .matrix = b.matrix(),
          .columns = b.batch_columns(),
          .intercept = intercept,
          .slopes = given,
          .gradient = b.all_parts(),
          .part_offsets = LinearBatch::view(b.part_offsets),
          .parts = LinearBatch::view(b.parts),
          .first = first,
          .last = last,
          .optimizer = optimizer,
          .step = LinearBatch::kStep,
          .cumulative_rates = LinearBatch::view(b.rates),
          .parameters = b.table(b.parameters, outputs),
          .state_first = row,
          .slots = b.table(b.state, outputs * b.slots).rows_slice(row, b.n + 1 - row),
          .seen = LinearBatch::view(b.seen).slice(row, b.n + 1 - row),
          .averages = b.table(b.averages, outputs).rows_slice(row, b.n + 1 - row),
          .accumulator = accumulator},
      LinearBatchUpdateArgs::tolerance,
      [](const auto& c, const auto& a) { linear_batch_update(c, a); },
      [&](const auto& a) { linear_batch_update(cpu, a); });
  b.reset_seen();
  expect_device_matches(
      gpu, "linear_settle",
      LinearSettleArgs{.optimizer = optimizer,
                       .step = LinearBatch::kStep,
                       .cumulative_rates = LinearBatch::view(b.rates),
                       .parameters = b.table(b.parameters, outputs),
                       .slots = b.table(b.state, outputs * b.slots),
                       .seen = LinearBatch::view(b.seen),
                       .averages = b.table(b.averages, outputs)},
      LinearSettleArgs::tolerance, [](const auto& c, const auto& a) { linear_settle(c, a); },
      [&](const auto& a) { linear_settle(cpu, a); });
}

TEST(LinearStep, CudaHasEveryOptimizer) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const OptimizerStep& optimizer : step_optimizers())
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
  const OptimizerStep adagrad = step_optimizers()[1];
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
