// Arguments of batch normalization with their memory; matrices have padding behind their rows.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "kernels/batch_norm/batch_norm.h"

namespace gradmill::testing {

struct BatchNormProblem {
  std::int64_t rows, units, stride;
  std::vector<float> x, kept, out, gradient, scale, shift, mean, variance, inverse, scale_gradient,
      shift_gradient;
  std::vector<double> sums, gradient_sums;
  std::vector<double> input = std::vector<double>(StepInput::count, 0.0);
  std::vector<double> state = std::vector<double>(StepState::count, 1.0);

  BatchNormProblem(std::int64_t rows, std::int64_t units)
      : rows(rows), units(units), stride(units + 2) {
    std::mt19937 rng(static_cast<unsigned>(rows * 100 + units));
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& to, std::int64_t count, float offset) {
      for (std::int64_t i = 0; i < count; ++i) to.push_back(offset + normal(rng));
    };
    fill(x, rows * stride, 1.5f);
    fill(gradient, rows * stride, 0);
    kept = out = x;
    for (std::vector<float>* v : {&scale, &shift, &mean}) fill(*v, units, 0.5f);
    for (std::int64_t h = 0; h < units; ++h) variance.push_back(0.5f + std::abs(normal(rng)));
    inverse = scale_gradient = shift_gradient = scale;
    sums.resize(static_cast<std::size_t>(2 * units));
    gradient_sums = sums;
    input[StepInput::rows] = static_cast<double>(rows);
  }
  double at(const std::vector<float>& m, std::int64_t b, std::int64_t h) const {
    return m[static_cast<std::size_t>(b * stride + h)];
  }
  double value(const std::vector<float>& v, std::int64_t h) const {
    return v[static_cast<std::size_t>(h)];
  }
  MatrixView<float> matrix(std::vector<float>& m) { return {m.data(), rows, units, stride, {}}; }
  template <class T>
  static VectorView<T> view(std::vector<T>& v) {
    return {v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
  BatchNormSumsArgs sums_args() { return {matrix(x), view(sums)}; }
  BatchNormArgs forward_args(bool training) {
    BatchNormArgs a;
    a.x = matrix(x), a.kept = matrix(kept), a.out = matrix(out);
    if (training) a.sums = view(sums), a.input = view(input);
    a.mean = view(mean), a.variance = view(variance);
    a.scale = view(scale), a.shift = view(shift), a.inverse = view(inverse);
    a.activation = Activation::tanh;
    return a;
  }
  BatchNormTrackArgs track_args() {
    return {view(sums), view(input), view(state), 0.1f, view(mean), view(variance)};
  }
  BatchNormGradientSumsArgs gradient_sums_args() {
    return {matrix(gradient), matrix(x), view(gradient_sums), view(scale_gradient),
            view(shift_gradient)};
  }
  BatchNormGradientArgs gradient_args() {
    return {matrix(x),   view(gradient_sums), view(input),
            view(scale), view(inverse),       matrix(gradient)};
  }
};

}  // namespace gradmill::testing
