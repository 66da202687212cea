// Arguments of step_control with their memory.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "kernels/step_control/step_control.h"

namespace gradmill::testing {

struct StepControlProblem {
  std::vector<float> gradient, more, last, loss_parts{3.0f, 0.25f};
  std::vector<std::int64_t> count;
  std::vector<double> input = std::vector<double>(StepInput::count, 0.0);
  std::vector<double> state = std::vector<double>(StepState::count, 0.0);
  std::vector<double> report = std::vector<double>(StepState::count, -1.0);
  std::vector<std::int32_t> ticket{0};

  /// `more` has room for 2 size values, of which 3 each of size / 4 are in use.
  explicit StepControlProblem(std::int64_t size) : count{size / 4} {
    std::mt19937 rng(static_cast<unsigned>(size));
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < size; ++i) gradient.push_back(normal(rng));
    for (std::int64_t i = 0; i < 2 * size; ++i)
      more.push_back(i < size / 4 * 3 ? normal(rng) : std::nanf(""));
    for (std::int64_t i = 0; i < size / 2; ++i) last.push_back(normal(rng));
    input[StepInput::rate] = 0.125;
    input[StepInput::weight] = 64;
    input[StepInput::step] = 17;
  }
  double norm() const {
    double squares = 0;
    const auto add = [&](const std::vector<float>& values, std::size_t used) {
      for (std::size_t i = 0; i < used; ++i) squares += double{values[i]} * values[i];
    };
    add(gradient, gradient.size());
    add(more, static_cast<std::size_t>(3 * count[0]));
    add(last, last.size());
    return std::sqrt(squares);
  }
  StepControlArgs args() {
    StepControlArgs a;
    a.parts[0].values = view(gradient);
    a.parts[1] = {view(more), view(count), 3};
    a.parts[2].values = view(last);
    a.loss_parts = view(loss_parts);
    a.input = view(input);
    a.beta1 = 0.9f, a.beta2 = 0.99f;
    a.state = view(state);
    a.report = view(report);
    a.ticket = view(ticket);
    return a;
  }
  template <class T>
  static VectorView<T> view(std::vector<T>& v) {
    return {v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
};

}  // namespace gradmill::testing
