// Tensors with gradients and moments for LAMB, and its step in double precision.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "kernels/lamb_step/lamb_step.h"

namespace gradmill::testing {

struct LambProblem {
  std::vector<float> values, gradients, slots, averages;
  std::vector<double> state = std::vector<double>(StepState::count, 0.0);
  std::vector<std::uint8_t> frozen;
  std::vector<std::int64_t> first{0}, chunks{0};
  LambStepArgs args;

  /// The last tensor is a bias; `freezes` the one before it.
  LambProblem(const std::vector<std::int64_t>& sizes, bool freezes) {
    std::mt19937 rng(7);
    std::normal_distribution<float> normal;
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      first.push_back(first.back() + sizes[t]);
      chunks.push_back(chunks.back() + (sizes[t] + kLambChunk - 1) / kLambChunk);
      for (std::int64_t e = 0; e < sizes[t]; e += kFrozenGroup)
        frozen.push_back(freezes && t + 2 == sizes.size());
    }
    const std::int64_t size = first.back();
    for (std::int64_t e = 0; e < size; ++e) {
      values.push_back(normal(rng)), gradients.push_back(normal(rng));
      averages.push_back(normal(rng));
    }
    for (std::int64_t e = 0; e < 2 * size; ++e) slots.push_back(std::abs(normal(rng)));
    if (sizes.size() > 2) std::fill_n(values.begin(), sizes[0], 0.0f);  // its ratio is 1
    state[StepState::applies] = 1;
    state[StepState::scale] = 0.5;
    state[StepState::rate] = 0.1;
    state[StepState::unbias1] = 1.5;
    state[StepState::unbias2] = 3;
    args.step.optimizer.l2 = 0.02f;
    args.step.state = view(state);
    args.step.penalized = sizes.size() < 2 ? size : size - sizes.back();
    if (freezes) args.step.frozen = view(frozen);
    args.step.gradients = view(gradients);
    args.step.values = view(values);
    args.step.slots = view(slots);
    args.step.averages = view(averages);
    args.step.average_decay = 0.75f;
    args.first = view(first);
    args.chunks = view(chunks);
    args.num_chunks = chunks.back();
  }
  LambProblem(LambProblem&&) = delete;

  std::vector<double> reference() const {
    std::vector<double> result(values.begin(), values.end()), r(values.size());
    const std::size_t size = values.size();
    for (std::size_t t = 0; t + 1 < first.size(); ++t) {
      const auto begin = static_cast<std::size_t>(first[t]),
                 end = static_cast<std::size_t>(first[t + 1]);
      if (args.step.frozen.size && frozen[begin / kFrozenGroup]) continue;
      const bool weight = first[t] < args.step.penalized;
      double w2 = 0, r2 = 0;
      for (std::size_t e = begin; e < end; ++e) {
        const double g = 0.5 * double{gradients[e]}, w = values[e];
        const double m = double{0.9f} * slots[e] + (1 - double{0.9f}) * g;
        const double v = double{0.999f} * slots[size + e] + (1 - double{0.999f}) * g * g;
        r[e] = 1.5 * m / (std::sqrt(3 * v) + double{1e-8f}) + (weight ? double{0.02f} * w : 0.0);
        w2 += w * w;
        r2 += r[e] * r[e];
      }
      const double ratio = weight && w2 > 0 && r2 > 0 ? std::sqrt(w2 / r2) : 1;
      for (std::size_t e = begin; e < end; ++e) result[e] -= double{0.1f} * ratio * r[e];
    }
    return result;
  }
  template <class T>
  static VectorView<T> view(std::vector<T>& v) {
    return {v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
};

}  // namespace gradmill::testing
