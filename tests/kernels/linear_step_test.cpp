#include "kernels/linear_step/linear_step.h"

#include <gtest/gtest.h>

#include "tests/support/linear_batch.h"

namespace gradmill {
namespace {
using testing::LinearBatch;
using testing::step_optimizers;

double shrunk(double w, double by) { return w > by ? w - by : w < -by ? w + by : 0; }

/// The formulas of kernels/optimizers.h in double precision, for one parameter.
struct Reference {
  OptimizerStep o;
  double w, slot0, slot1;

  void update(double g, int gap, double gap_rate, double l1, double l2) {
    switch (o.kind) {
      case OptimizerKind::sgd: {
        double v = g;
        if (o.momentum != 0) slot0 = v = g + std::pow(o.momentum, gap) * slot0;
        w = shrunk(w - o.rate * v, gap_rate * l1) / (1 + gap_rate * l2);
        return;
      }
      case OptimizerKind::adagrad: {
        slot0 += g * g;
        const double own = slot0 > 0 ? 1 / (std::sqrt(slot0) + o.epsilon) : 0;
        w = shrunk(w - o.rate * own * g, gap_rate * own * l1) / (1 + gap_rate * own * l2);
        return;
      }
      case OptimizerKind::adam:
      case OptimizerKind::adamw: {
        const bool decoupled = o.kind == OptimizerKind::adamw;
        if (!decoupled) g += l2 * w;
        slot0 = std::pow(o.beta1, gap) * slot0 + (1 - o.beta1) * g;
        slot1 = std::pow(o.beta2, gap) * slot1 + (1 - o.beta2) * g * g;
        const double own = slot1 > 0 ? 1 / (std::sqrt(slot1 * o.unbias2) + o.epsilon) : 0;
        w = shrunk(w - o.rate * own * slot0 * o.unbias1, gap_rate * own * l1);
        if (decoupled) w /= 1 + gap_rate * l2;
        return;
      }
      case OptimizerKind::ftrl: {
        const double grown = slot1 + g * g;
        slot0 += g - (std::sqrt(grown) - std::sqrt(slot1)) / o.rate * w;
        slot1 = grown;
        w = -shrunk(slot0, o.steps * l1) /
            ((o.ftrl_beta + std::sqrt(slot1)) / o.rate + o.steps * l2);
        return;
      }
    }
  }
};

LinearBatchUpdateArgs update_of(LinearBatch& b) {
  LinearBatchUpdateArgs update;
  update.matrix = b.matrix();
  update.columns = b.batch_columns();
  update.intercept = b.intercept;
  update.slopes = {b.slopes.data(), b.rows, b.outputs, b.outputs, {}};
  update.last = b.size();
  update.optimizer = b.optimizer;
  update.step = LinearBatch::kStep;
  update.cumulative_rates = LinearBatch::view(b.rates);
  update.parameters = b.table(b.parameters, b.outputs);
  update.slots = b.table(b.state, b.outputs * b.slots);
  update.seen = LinearBatch::view(b.seen);
  update.averages = b.table(b.averages, b.outputs);
  update.accumulator = b.table(b.accumulator, table_stride(b.outputs));
  update.accumulator.cols = b.outputs;
  return update;
}

/// The gradient of column k, output c, in double precision.
double gradient_of(const LinearBatch& b, std::int64_t k, std::int64_t c) {
  double sum = 0;
  const std::int64_t column = b.column(k);
  for (std::int64_t r = 0; r < b.rows; ++r) {
    const double slope = b.slopes[static_cast<std::size_t>(r * b.outputs + c)];
    if (column == b.n) sum += slope;
    for (std::int64_t e = b.samples.offsets[static_cast<std::size_t>(r)];
         e < b.samples.offsets[static_cast<std::size_t>(r) + 1]; ++e)
      if (b.samples.indices[static_cast<std::size_t>(e)] == column)
        sum +=
            slope * (b.samples.values.empty() ? 1 : b.samples.values[static_cast<std::size_t>(e)]);
  }
  return sum;
}

void expect_update(LinearBatch& b) {
  const Context cpu = Context::cpu(1);
  b.slopes = testing::random_values(b.rows * b.outputs, 9, 0.2f);
  const auto parameters = b.parameters, state = b.state, averages = b.averages;
  const auto seen = b.seen;
  linear_batch_update(cpu, update_of(b));
  std::vector<bool> touched(static_cast<std::size_t>(b.n + 1), false);
  const auto near = [](float got, double want, const char* what, std::int64_t k) {
    ASSERT_NEAR(got, want, 2e-6 + 2e-5 * std::abs(want)) << what << " of column " << k;
  };
  for (std::int64_t k = 0; k < b.size(); ++k) {
    const std::int64_t j = b.column(k);
    const auto row = static_cast<std::size_t>(j);
    touched[row] = true;
    const int gap = LinearBatch::kStep + 1 - seen[row];
    const double rate =
        double{b.rates[LinearBatch::kStep + 1]} - b.rates[static_cast<std::size_t>(seen[row])];
    const bool free = j == b.n;
    for (std::int64_t c = 0; c < b.outputs; ++c) {
      const auto cell = static_cast<std::size_t>(j * b.outputs + c);
      const auto slot = [&](const std::vector<float>& of, int s) {
        return s < b.slots ? of[static_cast<std::size_t>((j * b.slots + s) * b.outputs + c)] : 0.0f;
      };
      Reference want{b.optimizer, parameters[cell], slot(state, 0), slot(state, 1)};
      want.update(gradient_of(b, k, c), gap, rate, free ? 0 : b.optimizer.l1,
                  free ? 0 : b.optimizer.l2);
      near(b.parameters[cell], want.w, "parameter", k);
      if (b.slots > 0) near(slot(b.state, 0), want.slot0, "first slot", k);
      if (b.slots > 1) near(slot(b.state, 1), want.slot1, "second slot", k);
      near(b.averages[cell], averages[cell] + (gap - 1) * double{parameters[cell]} + want.w,
           "average", k);
    }
    EXPECT_EQ(b.seen[row], LinearBatch::kStep + 1);
  }
  for (std::size_t j = 0; j < touched.size(); ++j) {  // the others have not moved
    if (touched[j]) continue;
    EXPECT_EQ(b.seen[j], seen[j]);
    for (std::int64_t c = 0; c < b.outputs; ++c)
      EXPECT_EQ(b.parameters[j * static_cast<std::size_t>(b.outputs) + static_cast<std::size_t>(c)],
                parameters[j * static_cast<std::size_t>(b.outputs) + static_cast<std::size_t>(c)]);
  }
  for (const float v : b.accumulator) ASSERT_EQ(v, 0);
}

TEST(LinearStep, UpdatesAreThoseOfDoublePrecision) {
  for (const OptimizerStep& optimizer : step_optimizers())
    for (const std::int64_t outputs : {1, 3})
      for (const bool intercept : {true, false}) {
        SCOPED_TRACE(static_cast<int>(optimizer.kind));
        LinearBatch sparse({64, 300, {0, 9, 4}, true, true, 2}, false, intercept, outputs,
                           optimizer);
        expect_update(sparse);
        LinearBatch ones({33, 257, {3}, false, false, 2}, false, intercept, outputs, optimizer);
        expect_update(ones);
        LinearBatch dense({64, 20, {20, 9}, true, false, 2}, true, intercept, outputs, optimizer);
        expect_update(dense);
        LinearBatch empty({0, 5, {1}, true, false, 2}, false, intercept, outputs, optimizer);
        expect_update(empty);
      }
}

TEST(LinearStep, PartsOfRanksAddUpAndAShareOfTheStateIsEnough) {
  const Context cpu = Context::cpu(1);
  for (const OptimizerStep& optimizer : step_optimizers())
    for (const std::int64_t outputs : {1, 3}) {
      LinearBatch whole({64, 300, {0, 9, 4}, true, true, 2}, false, true, outputs, optimizer);
      whole.gradient = testing::random_values(whole.size() * outputs, 9);
      whole.split_gradient(3);
      LinearBatch shared = whole;
      // What float additions of the parts give.
      for (std::int64_t k = 0; k < whole.size(); ++k)
        for (std::int64_t c = 0; c < outputs; ++c) {
          float sum = 0;
          for (int e = whole.part_offsets[static_cast<std::size_t>(k)];
               e < whole.part_offsets[static_cast<std::size_t>(k) + 1]; ++e)
            sum += whole.pieces[static_cast<std::size_t>(e * outputs + c)];
          whole.gradient[static_cast<std::size_t>(k * outputs + c)] = sum;
        }
      const std::int64_t first = whole.size() / 3, row = whole.column(first);
      LinearBatchUpdateArgs update = update_of(whole);
      update.gradient = {whole.gradient.data(), whole.size(), outputs, outputs, {}};
      update.first = first;
      linear_batch_update(cpu, update);

      LinearBatchUpdateArgs parts = update_of(shared);
      parts.gradient = shared.all_parts();
      parts.part_offsets = LinearBatch::view(shared.part_offsets);
      parts.parts = LinearBatch::view(shared.parts);
      parts.first = first;
      parts.state_first = row;
      const std::int64_t rows = shared.n + 1 - row;
      parts.slots = parts.slots.rows_slice(row, rows);
      parts.seen = parts.seen.slice(row, rows);
      parts.averages = parts.averages.rows_slice(row, rows);
      linear_batch_update(cpu, parts);
      EXPECT_EQ(shared.parameters, whole.parameters);
      EXPECT_EQ(shared.state, whole.state);
      EXPECT_EQ(shared.seen, whole.seen);
      EXPECT_EQ(shared.averages, whole.averages);
    }
}

TEST(LinearStep, SettlingAppliesThePenaltiesThatWereMissed) {
  const Context cpu = Context::cpu(1);
  for (const OptimizerStep& optimizer : step_optimizers())
    for (const bool intercepts : {true, false}) {
      LinearBatch b({8, 31, {3}, true, false, 2}, false, true, 2, optimizer);
      const auto parameters = b.parameters, averages = b.averages;
      const auto seen = b.seen;
      linear_settle(cpu, {optimizer, intercepts, LinearBatch::kStep, LinearBatch::view(b.rates),
                          b.table(b.parameters, 2), b.table(b.state, 2 * b.slots),
                          LinearBatch::view(b.seen), b.table(b.averages, 2)});
      for (std::int64_t j = 0; j <= b.n; ++j)
        for (std::int64_t c = 0; c < 2; ++c) {
          const auto row = static_cast<std::size_t>(j), cell = static_cast<std::size_t>(j * 2 + c);
          const double w = parameters[cell], rate = double{b.rates[LinearBatch::kStep]} -
                                                    b.rates[static_cast<std::size_t>(seen[row])];
          const auto slot = [&](int s) {
            return s < b.slots
                       ? double{b.state[static_cast<std::size_t>((j * b.slots + s) * 2 + c)]}
                       : 0.0;
          };
          double want = w;
          const OptimizerStep& o = optimizer;
          if (!(intercepts && j == b.n)) switch (o.kind) {
              case OptimizerKind::sgd:
                want = shrunk(w, rate * o.l1) / (1 + rate * o.l2);
                break;
              case OptimizerKind::adagrad: {
                const double own = 1 / (std::sqrt(slot(0)) + o.epsilon);
                want = shrunk(w, rate * own * o.l1) / (1 + rate * own * o.l2);
                break;
              }
              case OptimizerKind::adam:
              case OptimizerKind::adamw: {
                const double own = 1 / (std::sqrt(slot(1) * o.unbias2) + o.epsilon);
                want = shrunk(w, rate * own * o.l1);
                if (o.kind == OptimizerKind::adamw) want /= 1 + rate * o.l2;
                break;
              }
              case OptimizerKind::ftrl:
                want = -shrunk(slot(0), o.steps * o.l1) /
                       ((o.ftrl_beta + std::sqrt(slot(1))) / o.rate + o.steps * o.l2);
            }
          EXPECT_NEAR(b.parameters[cell], want, 1e-5 + 1e-5 * std::abs(want));
          EXPECT_NEAR(b.averages[cell],
                      (averages[cell] + (LinearBatch::kStep - seen[row]) * w) / LinearBatch::kStep,
                      1e-5);
          EXPECT_EQ(b.seen[row], 0);
        }
    }
}

}  // namespace
}  // namespace gradmill
