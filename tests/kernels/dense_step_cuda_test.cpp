// Sample losses, optimizer steps and clipping on CUDA against the CPU's, which their own tests check.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/optimizer_step/optimizer_step.h"
#include "kernels/sample_losses/sample_losses.h"
#include "runtime/random.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"

namespace gradmill {
namespace {
std::vector<float> numbers(std::int64_t count, std::uint32_t use, float scale = 1) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i)
    values.push_back(
        scale * random_normal(3, RandomStream::init_items, static_cast<std::uint64_t>(i), use).a);
  return values;
}

template <class T>
VectorView<T> view(std::vector<T>& v) {
  return {v.data(), static_cast<std::int64_t>(v.size()), {}};
}

void check_losses(const Context& gpu, LossKind kind, std::int64_t rows, std::int64_t outputs,
                  bool targets, bool slopes) {
  auto margins = numbers(rows * outputs, 1), goal = numbers(rows * outputs, 2), out = margins;
  std::vector<float> labels, weights;
  for (std::int64_t i = 0; i < rows; ++i) {
    labels.push_back(static_cast<float>(i % std::max<std::int64_t>(outputs, 2)));
    weights.push_back(static_cast<float>(i % 3));
  }
  std::vector<double> loss{1.5}, input(StepInput::count, 2.0), state(StepState::count, 8.0);
  std::vector<float> parts(2);
  std::vector<std::int32_t> ticket(1);
  SampleLossesArgs args;
  args.loss_parts = view(parts);
  args.ticket = view(ticket);
  args.accumulate = targets;
  if (slopes) {
    args.input = view(input);
    args.state = view(state);
  }
  args.margins = {margins.data(), rows, outputs, outputs, {}};
  if (targets)
    args.targets = {goal.data(), rows, outputs, outputs, {}};
  else
    args.labels = view(labels);
  args.weights = view(weights);
  args.loss_kind = {kind, 0.4f};
  args.scale = 0.25f;
  if (slopes) args.slopes = {out.data(), rows, outputs, outputs, {}};
  args.loss = view(loss);
  testing::expect_device_matches(
      gpu, fmt::format("loss {} of {} x {}", static_cast<int>(kind), rows, outputs), args,
      {1e-4, 1e-5}, sample_losses, [](const auto& a) { sample_losses(Context::cpu(1), a); });
}

TEST(SampleLossesCuda, EveryLossAndSize) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t rows : {0, 1, 31, 33, 257, 3000})
    for (const LossKind kind :
         {LossKind::squared, LossKind::logistic, LossKind::hinge, LossKind::squared_hinge,
          LossKind::huber, LossKind::quantile, LossKind::poisson}) {
      check_losses(*gpus[0], kind, rows, 1, false, true);
      check_losses(*gpus[0], kind, rows, 3, true, true);
    }
  for (const std::int64_t outputs : {2, 10, 33, 100}) {
    check_losses(*gpus[0], LossKind::softmax, 257, outputs, false, true);
    check_losses(*gpus[0], LossKind::softmax, 33, outputs, false, false);
    check_losses(*gpus[0], LossKind::logistic, 100, outputs, false, true);
  }
}

TEST(OptimizerStepCuda, EveryKindWithPenaltyAndFrozenElements) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t size : {0, 1, 33, 257, 10'000})
    for (const OptimizerKind kind :
         {OptimizerKind::sgd, OptimizerKind::adagrad, OptimizerKind::adam, OptimizerKind::adamw,
          OptimizerKind::ftrl}) {
      const int kinds = optimizer_slots(kind, 0.9f);
      auto values = numbers(size, 1), gradients = numbers(size, 2), averages = numbers(size, 3);
      auto slots = numbers(size * kinds, 4);
      for (float& slot : slots) slot = std::abs(slot);
      std::vector<double> state(StepState::count, 0.5);
      state[StepState::made] = 3;
      std::vector<std::uint8_t> frozen;
      for (std::int64_t e = 0; e < size; e += kFrozenGroup) frozen.push_back(e / 48 % 3 == 1);
      OptimizerStepArgs args;
      args.optimizer.kind = kind;
      args.optimizer.momentum = 0.9f;
      args.optimizer.l1 = 0.01f;
      args.optimizer.l2 = 0.1f;
      args.optimizer.steps = 3;
      args.penalized = size / 2;
      args.frozen = view(frozen);
      args.gradients = view(gradients);
      args.state = view(state);
      args.values = view(values);
      args.slots = view(slots);
      args.averages = view(averages);
      args.average_decay = 0.99f;
      testing::expect_device_matches(
          *gpus[0], fmt::format("optimizer {} of {}", static_cast<int>(kind), size), args,
          {1e-4, 1e-6}, optimizer_step, [](const auto& a) { optimizer_step(Context::cpu(1), a); });
    }
}
}  // namespace
}  // namespace gradmill
