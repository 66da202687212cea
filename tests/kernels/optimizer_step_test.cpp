#include "kernels/optimizer_step/optimizer_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace gradmill {
namespace {

constexpr std::int64_t kSizes[] = {0, 1, 31, 32, 33, 257, 10000};
using Doubles = std::vector<double>;
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

double shrunk(double w, double by) { return w > by ? w - by : w < -by ? w + by : 0.0; }

/// One element, in double, written from optimizers.h (ftrl is not for flat buffers).
void reference_update(const OptimizerStep& o, double l1, double l2, double g, double& w, double& s0,
                      double& s1) {
  const double rate = o.rate, eps = o.epsilon;
  if (o.kind == OptimizerKind::sgd) {
    double v = g;
    if (o.momentum != 0) v = s0 = static_cast<double>(o.momentum) * s0 + g;
    if (o.nesterov) v = g + static_cast<double>(o.momentum) * s0;
    w = shrunk(w - rate * v, rate * l1) / (1 + rate * l2);
  } else if (o.kind == OptimizerKind::adagrad) {
    s0 += g * g;
    const double own = s0 > 0 ? rate / (std::sqrt(s0) + eps) : 0;
    w = shrunk(w - own * g, own * l1) / (1 + own * l2);
  } else {
    if (o.kind == OptimizerKind::adam) g += l2 * w;
    s0 = static_cast<double>(o.beta1) * s0 + (1 - static_cast<double>(o.beta1)) * g;
    s1 = static_cast<double>(o.beta2) * s1 + (1 - static_cast<double>(o.beta2)) * g * g;
    const double own = rate / (std::sqrt(s1 * static_cast<double>(o.unbias2)) + eps);
    w = shrunk(w - own * s0 * static_cast<double>(o.unbias1), own * l1);
    if (o.kind == OptimizerKind::adamw) w /= 1 + rate * l2;
  }
}

struct Problem {
  std::vector<float> values, gradients, slots, averages;
  std::vector<double> state = std::vector<double>(StepState::count, 0.0);
  std::vector<std::uint8_t> frozen;
  OptimizerStepArgs args;
  Problem(std::int64_t size, const OptimizerStep& optimizer, bool averaged) {
    std::mt19937 rng(static_cast<unsigned>(size) + 1);
    std::normal_distribution<float> normal;
    const std::int64_t slots_count = optimizer_slots(optimizer.kind, optimizer.momentum) * size;
    for (std::int64_t i = 0; i < size; ++i) {
      values.push_back(normal(rng)), gradients.push_back(normal(rng));
      if (averaged) averages.push_back(normal(rng));
    }
    for (std::int64_t i = 0; i < slots_count; ++i) slots.push_back(std::abs(normal(rng)));
    args.optimizer = optimizer;
    args.penalized = size / 2;
    for (std::int64_t e = 0; e < size; e += kFrozenGroup) frozen.push_back(e / 48 % 3 == 1);
    args.frozen = {frozen.data(), static_cast<std::int64_t>(frozen.size()), {}};
    args.gradients = {gradients.data(), size, {}};
    state[StepState::applies] = 1;
    state[StepState::scale] = 0.5;
    state[StepState::rate] = static_cast<double>(optimizer.rate);
    state[StepState::unbias1] = static_cast<double>(optimizer.unbias1);
    state[StepState::unbias2] = static_cast<double>(optimizer.unbias2);
    args.state = {state.data(), StepState::count, {}};
    args.optimizer.rate = -1;  // the state's is used
    args.values = {values.data(), size, {}};
    args.slots = {slots.data(), slots_count, {}};
    args.averages = {averages.data(), static_cast<std::int64_t>(averages.size()), {}};
    args.average_decay = 0.9f;
  }
};

std::vector<OptimizerStep> optimizers() {
  std::vector<OptimizerStep> all;
  for (const OptimizerKind kind :
       {OptimizerKind::sgd, OptimizerKind::adagrad, OptimizerKind::adam, OptimizerKind::adamw})
    all.push_back(
        {.kind = kind, .rate = 0.1f, .l1 = 0.02f, .l2 = 0.3f, .unbias1 = 1.5f, .unbias2 = 3});
  all.push_back({.kind = OptimizerKind::sgd, .rate = 0.1f, .l2 = 0.1f, .momentum = 0.9f});
  all.push_back({.kind = OptimizerKind::sgd, .rate = 0.1f, .momentum = 0.9f, .nesterov = true});
  return all;
}

TEST(OptimizerStepTest, EveryOptimizerAgainstDoublePrecision) {
  for (const OptimizerStep& o : optimizers())
    for (const std::int64_t size : kSizes)
      for (const bool averaged : {false, true}) {
        Problem p(size, o, averaged);
        const Problem before(size, o, averaged);
        optimizer_step(Context::cpu(2), p.args);
        for (std::int64_t e = 0; e < size; ++e) {
          double w = before.values[at(e)], none = 0;
          Doubles slots(before.slots.begin(), before.slots.end());
          double& s0 = slots.empty() ? none : slots[at(e)];
          double& s1 = slots.size() < 2 * at(size) ? none : slots[at(size + e)];
          const bool frozen = p.frozen[at(e / kFrozenGroup)] != 0;
          const bool penalized = e < p.args.penalized;
          if (!frozen)
            reference_update(o, penalized ? static_cast<double>(o.l1) : 0,
                             penalized ? static_cast<double>(o.l2) : 0,
                             0.5 * static_cast<double>(before.gradients[at(e)]), w, s0, s1);
          if (frozen) {
            ASSERT_EQ(p.values[at(e)], before.values[at(e)]);
          }
          ASSERT_NEAR(p.values[at(e)], w, 3e-6 * (1 + std::abs(w)))
              << static_cast<int>(o.kind) << " " << e;
          if (!slots.empty()) {
            ASSERT_NEAR(p.slots[at(e)], s0, 1e-6 * (1 + std::abs(s0)));
          }
          if (averaged) {
            ASSERT_NEAR(p.averages[at(e)],
                        0.9 * static_cast<double>(before.averages[at(e)]) + 0.1 * w, 1e-6);
          }
          if (size > 300) e += 36;  // a copy of the slots for each element that is looked at
        }
      }
}

TEST(OptimizerStepTest, BitsDoNotDependOnThreads) {
  for (const OptimizerStep& o : optimizers()) {
    Problem one(20000, o, true), three(20000, o, true);
    optimizer_step(Context::cpu(1), one.args);
    optimizer_step(Context::cpu(3), three.args);
    EXPECT_EQ(one.values, three.values);
    EXPECT_EQ(one.slots, three.slots);
    EXPECT_EQ(one.averages, three.averages);
  }
}

TEST(OptimizerStepTest, WrongNumberOfSlotsIsRefused) {
  Problem p(10, {.kind = OptimizerKind::adam}, false);
  p.args.slots.size = 10;
  EXPECT_ANY_THROW(optimizer_step(Context::cpu(1), p.args));
}

TEST(OptimizerStepTest, NothingChangesUnlessTheStateSaysSo) {
  Problem p(1000, {.kind = OptimizerKind::adam}, true);
  const Problem before(1000, {.kind = OptimizerKind::adam}, true);
  p.state[StepState::applies] = 0;
  optimizer_step(Context::cpu(1), p.args);
  EXPECT_EQ(p.values, before.values);
  EXPECT_EQ(p.slots, before.slots);
  EXPECT_EQ(p.averages, before.averages);
}
}  // namespace
}  // namespace gradmill
