// Small problems of linear models, and a plain solver in double precision to compare with.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "models/linear/solver.h"
#include "tests/support/linear_reference.h"
#include "tests/support/random_samples.h"

namespace gradmill::testing {

/// Samples whose labels follow from a hidden model, with noise.
inline Samples linear_problem(std::int64_t rows, std::int64_t features, int classes, unsigned seed,
                              bool weights = false, bool poisson = false) {
  Samples s = random_samples({rows, features, {7, 3, 12, 1}, true, weights, classes, 2}, seed);
  std::mt19937 rng(seed + 1);
  std::normal_distribution<float> normal;
  const int outputs = std::max(classes, 2);
  std::vector<float> hidden(static_cast<std::size_t>(outputs * features));
  for (float& w : hidden) w = normal(rng);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<float> m(static_cast<std::size_t>(outputs));
    for (int c = 0; c < outputs; ++c) {
      m[static_cast<std::size_t>(c)] = normal(rng);
      for (std::int64_t e = s.offsets[static_cast<std::size_t>(r)];
           e < s.offsets[static_cast<std::size_t>(r) + 1]; ++e)
        m[static_cast<std::size_t>(c)] +=
            s.values[static_cast<std::size_t>(e)] *
            hidden[static_cast<std::size_t>(c * features + s.indices[static_cast<std::size_t>(e)])];
    }
    float& y = s.labels[static_cast<std::size_t>(r)];
    if (classes == 0)
      y = poisson ? std::floor(std::exp(0.3f * m[0])) : m[0];
    else
      y = static_cast<float>(std::max_element(m.begin(), m.end()) - m.begin());
  }
  return s;
}

/// The objective and its smooth part's gradient at parameters [C, n], then [C].
struct Objective {
  double value;
  Doubles gradient;
};
inline Objective objective(const Samples& s, const Loss& loss, const LinearShape& shape,
                           const LinearConfig& config, const std::vector<float>& parameters) {
  const LinearReference reference(s, shape.outputs);
  const std::size_t regularized = static_cast<std::size_t>(shape.outputs) * reference.features;
  const std::vector<float> w(parameters.begin(),
                             parameters.begin() + static_cast<std::ptrdiff_t>(regularized));
  const std::vector<float> b(parameters.begin() + static_cast<std::ptrdiff_t>(regularized),
                             parameters.end());
  const auto losses = reference.losses(loss, reference.margins(w, b));
  double total = 0;
  for (std::size_t i = 0; i < reference.rows; ++i) total += s.weights.empty() ? 1 : s.weights[i];
  Objective o{0, reference.products(losses.slopes, false)};
  for (const double v : losses.rows) o.value += v / total;
  for (double& g : o.gradient) g /= total;
  for (std::size_t j = 0; j < regularized; ++j) {
    o.value += config.l2 / 2 * w[j] * w[j] + config.l1 * std::abs(w[j]);
    o.gradient[j] += config.l2 * w[j];
  }
  if (!config.intercept)
    for (std::size_t j = regularized; j < o.gradient.size(); ++j) o.gradient[j] = 0;
  return o;
}

/// Coefficients [C, n], then intercepts [C], on the host.
inline std::vector<float> parameters_of(const Context& ctx, LinearSolver& solver) {
  const LinearParameters p = solver.parameters();
  const std::int64_t n = p.coefficients.rows * p.coefficients.cols;
  std::vector<float> all(static_cast<std::size_t>(n + p.intercepts.size));
  copy_bytes(ctx, all.data(), Device{}, p.coefficients.data, p.coefficients.device,
             static_cast<std::size_t>(n) * sizeof(float));
  copy_bytes(ctx, all.data() + n, Device{}, p.intercepts.data, p.intercepts.device,
             static_cast<std::size_t>(p.intercepts.size) * sizeof(float));
  ctx.synchronize();
  return all;
}

}  // namespace gradmill::testing
