#include "models/linear/quasi_newton.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr int kMaxTrials = 30;
constexpr double kArmijo = 1e-4, kCurvature = 0.9;
constexpr double kNoise = 1e-8;  // of the objective, relative: losses are single precision
constexpr std::size_t kCount = 0, kHead = 1, kProducts = 2;  // places in memory_
}  // namespace

QuasiNewtonSolver::QuasiNewtonSolver(const Context& ctx, const Context& host, Communicator& comm,
                                     const LinearConfig& config, const LinearShape& shape,
                                     const Loss& loss, Samples mine,
                                     std::vector<std::int32_t> order, std::string what)
    : FullBatchSolver(ctx, host, comm, config, shape, loss, std::move(mine), std::move(order),
                      false, kHistory + 2 * config.history),
      history_(static_cast<std::size_t>(config.history)),
      orthants_(config.l1 > 0),
      what_(std::move(what)) {}

std::int32_t QuasiNewtonSolver::stop_gradient() {
  if (!orthants_) return kGradient;
  pseudo_gradient(ctx_,
                  {table(), kPseudo, kPoint, kGradient, objective_.regularized(), objective_.l1()});
  return kPseudo;
}

/// Rows of the history, k = 0 the oldest.
std::int16_t QuasiNewtonSolver::steps_row(std::size_t k) const {
  const auto head = static_cast<std::size_t>(memory_[kHead]);
  return static_cast<std::int16_t>(kHistory + static_cast<std::int32_t>((head + k) % history_));
}
std::int16_t QuasiNewtonSolver::changes_row(std::size_t k) const {
  return static_cast<std::int16_t>(steps_row(k) + static_cast<std::int16_t>(history_));
}
/// Products of the history's rows (steps, then changes of the gradient, by place).
double& QuasiNewtonSolver::product(std::size_t a, std::size_t b) {
  const std::size_t rows = 2 * history_;
  // memory_ holds steps x changes and changes x changes: all that the recursion reads.
  return memory_[kProducts + (a % rows) * history_ + b % history_];
}

/// d = -H g by the two loops, on the coefficients of d in the basis (steps, changes, gradient).
void QuasiNewtonSolver::find_direction(std::int32_t gradient) {
  const auto count = static_cast<std::size_t>(memory_[kCount]);
  std::vector<VectorPair> pairs;
  for (std::size_t k = 0; k < count; ++k) {
    pairs.push_back({steps_row(k), static_cast<std::int16_t>(gradient)});
    pairs.push_back({changes_row(k), static_cast<std::int16_t>(gradient)});
  }
  const std::vector<double> with_gradient = dots(pairs);
  const auto place = [&](std::size_t k) {
    return static_cast<std::size_t>(steps_row(k) - kHistory);
  };
  const auto sy = [&](std::size_t i, std::size_t j) { return product(place(i), place(j)); };
  const auto yy = [&](std::size_t i, std::size_t j) {
    return product(history_ + place(i), place(j));
  };
  std::vector<double> alpha(count), of_change(count, 0.0), of_step(count, 0.0);
  for (std::size_t k = count; k-- > 0;) {
    double dot = with_gradient[2 * k];
    for (std::size_t j = k + 1; j < count; ++j) dot += of_change[j] * sy(k, j);
    alpha[k] = dot / sy(k, k);
    of_change[k] = -alpha[k];
  }
  const double scale = count ? sy(count - 1, count - 1) / yy(count - 1, count - 1) : 1.0;
  for (double& c : of_change) c *= scale;
  for (std::size_t k = 0; k < count; ++k) {
    double dot = scale * with_gradient[2 * k + 1];
    for (std::size_t j = 0; j < count; ++j) dot += of_change[j] * yy(k, j);
    for (std::size_t j = 0; j < k; ++j) dot += of_step[j] * sy(j, k);
    of_step[k] = alpha[k] - dot / sy(k, k);
  }
  std::vector<VectorTerm> terms{{gradient, -scale}};
  for (std::size_t k = 0; k < count; ++k) {
    terms.push_back({steps_row(k), -of_step[k]});
    terms.push_back({changes_row(k), -of_change[k]});
  }
  combine(kDirection, terms);
}

bool QuasiNewtonSolver::search(double slope) {
  const double start = progress_.value;
  const double noise = kNoise * std::abs(start);
  double low = 0, high = std::numeric_limits<double>::infinity();
  double step = 1;
  if (memory_[kCount] == 0) step = 1 / std::max(1.0, std::sqrt(-slope));
  for (int trial = 0; trial < kMaxTrials; ++trial) {
    combine(kNext, {{kPoint, 1.0}, {kDirection, step}}, true);
    const double value = evaluate(kNext, kNextGradient);
    const double end = dots({{kNextGradient, kDirection}})[0];
    const bool decreased = value <= start + kArmijo * step * slope ||
                           (value <= start + noise && end <= (2 * kArmijo - 1) * slope);
    if (!std::isfinite(value) || !decreased) {
      high = step;
    } else if (end < kCurvature * slope) {
      low = step;
    } else {
      progress_.value = value;
      return true;
    }
    if (std::isinf(high)) {
      step *= end < 0 ? std::clamp(slope / (slope - end), 2.0, 10.0) : 2.0;
    } else if (low == 0 && std::isfinite(value)) {
      // The parabola through start, slope and value.
      const double bend = value - start - slope * step;
      step *= bend > 0 ? std::clamp(-slope * step / (2 * bend), 0.1, 0.5) : 0.5;
    } else {
      step = (low + high) / 2;
    }
    if (low > 0 && std::isfinite(high) && high - low < 1e-12 * high) break;
  }
  return false;
}

bool QuasiNewtonSolver::search_orthant(double) {
  double step = 1;
  if (memory_[kCount] == 0) step = 1 / std::max(1.0, std::sqrt(dots({{kPseudo, kPseudo}})[0]));
  const double start = progress_.value, noise = 1e-12 * std::abs(start);
  for (int trial = 0; trial < kMaxTrials; ++trial, step *= 0.5) {
    orthant_step(ctx_, {table(), kNext, kPoint, kDirection, kPseudo, objective_.regularized(), step,
                        objective_.rounded()});
    const double value = evaluate(kNext, kNextGradient);
    const auto p = dots({{kPseudo, kNext}, {kPseudo, kPoint}});
    if (std::isfinite(value) && value <= start + kArmijo * (p[0] - p[1]) + noise &&
        p[0] - p[1] < 0) {
      progress_.value = value;
      return true;
    }
  }
  return false;
}

/// Takes the step: history, products, point.
void QuasiNewtonSolver::remember() {
  auto count = static_cast<std::size_t>(memory_[kCount]);
  const std::size_t head = static_cast<std::size_t>(memory_[kHead]);
  const std::size_t place = (head + count) % history_;
  const auto s = static_cast<std::int16_t>(kHistory + static_cast<std::int32_t>(place));
  const auto y = static_cast<std::int16_t>(s + static_cast<std::int16_t>(history_));
  combine(s, {{kNext, 1.0}, {kPoint, -1.0}});
  combine(y, {{kNextGradient, 1.0}, {kGradient, -1.0}});
  combine(kPoint, {{kNext, 1.0}});
  combine(kGradient, {{kNextGradient, 1.0}});
  if (count == history_)
    memory_[kHead] = static_cast<double>((head + 1) % history_);
  else
    memory_[kCount] = static_cast<double>(++count);

  std::vector<VectorPair> pairs;
  for (std::size_t k = 0; k < count; ++k) {
    pairs.push_back({s, changes_row(k)});
    pairs.push_back({steps_row(k), y});
    pairs.push_back({y, changes_row(k)});
  }
  const std::vector<double> results = dots(pairs);
  for (std::size_t k = 0; k < count; ++k) {
    const auto other = static_cast<std::size_t>(steps_row(k) - kHistory);
    product(place, other) = results[3 * k];
    product(other, place) = results[3 * k + 1];
    product(history_ + place, other) = product(history_ + other, place) = results[3 * k + 2];
  }
  // A pair without positive curvature would make the next direction one of ascent.
  if (product(place, place) <= 1e-14 * product(history_ + place, place)) memory_[kCount] = 0;
}

bool QuasiNewtonSolver::iterate() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const std::int32_t gradient = stop_gradient();
    find_direction(gradient);
    const double slope = dots({{static_cast<std::int16_t>(gradient), kDirection}})[0];
    if (slope < 0 && (orthants_ ? search_orthant(slope) : search(slope))) {
      remember();
      return true;
    }
    if (memory_[kCount] == 0) break;
    memory_[kCount] = 0;  // once more from steepest descent
  }
  return false;
}

}  // namespace gradmill
