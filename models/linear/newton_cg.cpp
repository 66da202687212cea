#include "models/linear/newton_cg.h"

#include <algorithm>
#include <cmath>

namespace gradmill {
namespace {
constexpr int kMaxConjugateSteps = 200, kMaxTrials = 20;
constexpr double kForcing = 0.4;  // of the gradient, what conjugate gradients may leave
constexpr double kDamping = 5;    // the preconditioner: diagonal + kDamping l2
constexpr double kNoise = 1e-8;   // of the objective, relative: losses are single precision
constexpr std::size_t kRadius = 0, kHasDiagonal = 1;  // places in memory_
}  // namespace

NewtonSolver::NewtonSolver(const Context& ctx, const Context& host, Communicator& comm,
                           const LinearConfig& config, const LinearShape& shape, const Loss& loss,
                           Samples mine, std::vector<std::int32_t> order, std::string what)
    : FullBatchSolver(ctx, host, comm, config, shape, loss, std::move(mine), std::move(order), true,
                      kRows),
      what_(std::move(what)) {}

/// d of H d = -g as far as the radius allows. Norms in the preconditioner's metric follow from recurrences.
NewtonSolver::Step NewtonSolver::conjugate_gradients(double radius) {
  // Up to a factor the same as diagonal + kDamping l2; columns that never occur need more than 0.
  const double share = 1 / (1 + std::max(kDamping * config_.l2, 1e-12));
  combine(kStep, {});
  combine(kResidual, {{kGradient, -1.0}});
  precondition(ctx_, {table(), kScaled, kResidual, kDiagonal, share});
  combine(kConjugate, {{kScaled, 1.0}}, true);
  double rz = dots({{kResidual, kScaled}})[0];
  const double enough = kForcing * std::sqrt(rz);
  double dd = 0, dp = 0, pp = rz;
  bool at_boundary = false;
  for (int k = 0; k < kMaxConjugateSteps && std::sqrt(rz) > enough; ++k) {
    objective_.hessian_product(table(), kConjugate, kProduct);
    const double bend = dots({{kConjugate, kProduct}})[0];
    double alpha = bend > 0 ? rz / bend : -1;
    const double next = dd + 2 * alpha * dp + alpha * alpha * pp;
    if (bend <= 0 || next > radius * radius) {
      const double room = std::max(radius * radius - dd, 0.0);
      alpha = room / (dp + std::sqrt(std::max(dp * dp + pp * room, 0.0)));
      if (!std::isfinite(alpha)) alpha = rz > 0 ? 1.0 : 0.0;
      at_boundary = true;
    }
    combine(kStep, {{kStep, 1.0}, {kConjugate, alpha}});
    combine(kResidual, {{kResidual, 1.0}, {kProduct, -alpha}});
    dd += 2 * alpha * dp + alpha * alpha * pp;
    if (at_boundary) break;
    precondition(ctx_, {table(), kScaled, kResidual, kDiagonal, share});
    const double rz_next = dots({{kResidual, kScaled}})[0];
    const double beta = rz_next / rz;
    combine(kConjugate, {{kScaled, 1.0}, {kConjugate, beta}}, true);
    dp = beta * (dp + alpha * pp);
    pp = rz_next + beta * beta * pp;
    rz = rz_next;
  }
  const std::vector<double> with_step = dots({{kGradient, kStep}, {kResidual, kStep}});
  return {with_step[0], -0.5 * (with_step[0] - with_step[1]), std::sqrt(dd), at_boundary};
}

/// The rules of LIBLINEAR's tron.cpp.
void NewtonSolver::update_radius(const Step& step, double actual) {
  double& radius = memory_[kRadius];
  const double bend = -actual - step.slope;
  const double alpha =
      std::isfinite(bend) ? (bend <= 0 ? 4.0 : std::max(0.25, -0.5 * step.slope / bend)) : 0.25;
  const double length = alpha * step.length;
  if (!(actual >= 1e-4 * step.predicted))
    radius = std::min(length, 0.5 * radius);
  else if (actual < 0.25 * step.predicted)
    radius = std::max(0.25 * radius, std::min(length, 0.5 * radius));
  else if (actual < 0.75 * step.predicted)
    radius = std::max(0.25 * radius, std::min(length, 4 * radius));
  else
    radius = step.at_boundary ? 4 * radius : std::max(radius, std::min(length, 4 * radius));
}

bool NewtonSolver::iterate() {
  for (int trial = 0; trial < kMaxTrials; ++trial) {
    if (!curvatures_at_point_) {
      combine(kPoint, {{kPoint, 1.0}}, true);
      progress_.value = evaluate(kPoint, kGradient);
      curvatures_at_point_ = true;
    }
    if (memory_[kHasDiagonal] == 0) {
      objective_.hessian_diagonal(table(), kDiagonal);
      memory_[kHasDiagonal] = 1;
    }
    const bool first = memory_[kRadius] == 0;
    const Step step = conjugate_gradients(first ? 1e150 : memory_[kRadius]);
    if (first) memory_[kRadius] = step.length;
    combine(kNext, {{kPoint, 1.0}, {kStep, 1.0}}, true);
    const double value = evaluate(kNext, kNextGradient);
    const double actual = progress_.value - value;
    update_radius(step, actual);
    // Where rounding hides the decrease, the gradient tells.
    bool accepted = std::isfinite(value) && actual > 1e-4 * step.predicted;
    if (!accepted && std::isfinite(value) &&
        std::abs(actual) <= kNoise * std::abs(progress_.value) &&
        step.predicted <= kNoise * std::abs(progress_.value)) {
      const auto norms = dots({{kNextGradient, kNextGradient}, {kGradient, kGradient}});
      if (norms[0] >= norms[1]) return false;
      accepted = true;
    }
    if (!accepted) {
      curvatures_at_point_ = false;
      continue;
    }
    combine(kPoint, {{kNext, 1.0}});
    combine(kGradient, {{kNextGradient, 1.0}});
    progress_.value = value;
    return true;
  }
  return false;
}

}  // namespace gradmill
