#include "models/linear/dual_logistic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/linear/class_weights.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr int kMostSteps = 100;  // in one a_i
constexpr double kShrink = 0.1;  // of a step that would leave (0, C)
constexpr double kFirstAccuracy = 1e-2, kLastAccuracy = 1e-10;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
double entropy(double a) { return a > 0 ? a * std::log(a) : 0.0; }
}  // namespace

DualLogisticSolver::DualLogisticSolver(const Context& ctx, const Context& host, Communicator& comm,
                                       const LinearConfig& config, std::uint64_t seed,
                                       const LinearShape& shape, Samples mine,
                                       std::vector<std::int32_t> order, std::string what)
    : ctx_(ctx),
      config_(config),
      seed_(seed),
      shape_(shape),
      what_(std::move(what)),
      total_weight_(global_weight(host, comm, mine)),
      user_(ctx, shape, order),
      samples_(std::move(mine)) {
  for (std::int64_t r = 0; r < samples_.rows(); ++r) {
    double square = 0;
    for (std::int64_t e = samples_.offsets[at(r)]; e < samples_.offsets[at(r) + 1]; ++e) {
      const double x = samples_.values.empty() ? 1.0 : samples_.values[at(e)];
      square += x * x;
    }
    squares_.push_back(square);
    const double s = samples_.weights.empty() ? 1.0 : samples_.weights[at(r)];
    costs_.push_back(s / (total_weight_ * config.l2));
  }
  start();
}

/// Near the minimum's side of a_i = 0, as in LIBLINEAR.
void DualLogisticSolver::start() {
  weights_.assign(at(shape_.outputs * shape_.num_features), 0.0);
  alphas_.assign(at(2 * shape_.outputs * samples_.rows()), 0.0);
  accuracy_.assign(at(shape_.outputs), kFirstAccuracy);
  for (std::int64_t c = 0; c < shape_.outputs; ++c) {
    for (std::int64_t r = 0; r < samples_.rows(); ++r) {
      double* const a = &alphas_[at(2 * (c * samples_.rows() + r))];
      a[0] = std::min(0.001 * costs_[at(r)], 1e-8);
      a[1] = costs_[at(r)] - a[0];
      if (costs_[at(r)] > 0) add_row(c, r, a[0] * label(c, r));
    }
  }
}

double DualLogisticSolver::label(std::int64_t c, std::int64_t row) const {
  const float y = samples_.labels[at(row)];
  const bool positive = shape_.outputs == 1 ? y > 0 : y == static_cast<float>(c);
  return positive ? 1.0 : -1.0;
}

double DualLogisticSolver::margin(std::int64_t c, std::int64_t row) const {
  const double* const w = weights_.data() + c * shape_.num_features;
  double sum = 0;
  for (std::int64_t e = samples_.offsets[at(row)]; e < samples_.offsets[at(row) + 1]; ++e)
    sum += w[samples_.indices[at(e)]] * (samples_.values.empty() ? 1.0 : samples_.values[at(e)]);
  return sum;
}

void DualLogisticSolver::add_row(std::int64_t c, std::int64_t row, double factor) {
  double* const w = weights_.data() + c * shape_.num_features;
  for (std::int64_t e = samples_.offsets[at(row)]; e < samples_.offsets[at(row) + 1]; ++e)
    w[samples_.indices[at(e)]] += factor * (samples_.values.empty() ? 1.0 : samples_.values[at(e)]);
}

/// The best value of one dual variable, the others fixed, by Newton's method in that of a_i and C_i - a_i
/// which tends to 0. Returns the steps made.
int DualLogisticSolver::visit(std::int64_t c, std::int64_t row) {
  const double cost = costs_[at(row)], square = squares_[at(row)], y = label(c, row);
  if (!(cost > 0)) return 0;
  double* const a = &alphas_[at(2 * (c * samples_.rows() + row))];
  const double slope = y * margin(c, row);
  const bool second = 0.5 * square * (a[1] - a[0]) + slope < 0;
  const double sign = second ? -1 : 1, old = a[second];
  double z = cost - old < 0.5 * cost ? 0.1 * old : old;
  const auto gradient = [&] {
    return square * (z - old) + sign * slope + std::log(z / (cost - z));
  };
  int steps = 0;
  for (double g = gradient(); std::abs(g) >= accuracy_[at(c)] && steps < kMostSteps; ++steps) {
    const double next = z - g / (square + cost / (cost - z) / z);
    z = next > 0 && next < cost ? next : z * kShrink;
    g = gradient();
  }
  if (steps == 0) return 0;
  a[second] = z;
  a[!second] = cost - z;
  add_row(c, row, sign * (z - old) * y);
  return steps;
}

/// Sets primal value and gap, of all classes together, in units of the configured objective.
bool DualLogisticSolver::check_gap() {
  const std::int64_t rows = samples_.rows();
  constexpr std::int64_t kChunk = 1024;
  double primal = 0, dual = 0, start = 0;
  for (std::int64_t c = 0; c < shape_.outputs; ++c) {
    std::vector<std::array<double, 3>> sums(at((rows + kChunk - 1) / kChunk));
    ctx_.threads().parallel_for(
        static_cast<std::int64_t>(sums.size()), 1, [&](std::int64_t chunk, std::int64_t, int) {
          auto& [loss, entropies, zero] = sums[at(chunk)];
          for (std::int64_t r = chunk * kChunk; r < std::min(rows, (chunk + 1) * kChunk); ++r) {
            const double z = -label(c, r) * margin(c, r), cost = costs_[at(r)];
            const double* const a = &alphas_[at(2 * (c * rows + r))];
            loss += cost * (std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))));
            entropies += entropy(cost) - entropy(a[0]) - entropy(a[1]);
            zero += cost * std::log(2.0);
          }
        });
    double square = 0;
    for (std::int64_t j = 0; j < shape_.num_features; ++j) {
      const double w = weights_[at(c * shape_.num_features + j)];
      square += w * w;
    }
    primal += square / 2;
    dual -= square / 2;
    for (const auto& [loss, entropies, zero] : sums) {
      primal += loss;
      dual += entropies;
      start += zero;
    }
  }
  primal_ = config_.l2 * primal;
  gap_ = config_.l2 * (primal - dual);
  at_zero_ = config_.l2 * start;
  return gap_ <= config_.tolerance * at_zero_;
}

bool DualLogisticSolver::run_epoch(std::int64_t epoch) {
  if (stopped_) return false;
  const TraceSpan span(ctx_.tracer(), "dual logistic epoch");
  const auto rows = static_cast<std::uint64_t>(samples_.rows());
  const Permutation order(std::max<std::uint64_t>(rows, 1), seed_,
                          static_cast<std::uint64_t>(epoch));
  for (std::int64_t c = 0; c < shape_.outputs; ++c) {
    std::int64_t steps = 0;
    for (std::uint64_t i = 0; i < rows; ++i) steps += visit(c, static_cast<std::int64_t>(order(i)));
    if (steps <= samples_.rows() / 10)
      accuracy_[at(c)] = std::max(kLastAccuracy, 0.1 * accuracy_[at(c)]);
  }
  if (check_gap()) {
    stopped_ = true;
    why_ = fmt::format("duality gap {:.3g}, {:.3g} reached", gap_, config_.tolerance * at_zero_);
  }
  publish();
  return !stopped_;
}

void DualLogisticSolver::publish() {
  std::vector<float> rounded(weights_.begin(), weights_.end());
  rounded.resize(rounded.size() + at(shape_.outputs), 0.0f);  // no intercepts
  user_.from_classes({rounded.data(), static_cast<std::int64_t>(rounded.size()), {}});
}

std::vector<std::pair<std::string, double>> DualLogisticSolver::progress() const {
  return {{"duality_gap", gap_}};
}

std::vector<StateTensor> DualLogisticSolver::state() {
  std::vector<StateTensor> tensors = user_.state();
  const auto add = [&](const char* name, std::vector<double>& values) {
    const auto size = static_cast<std::int64_t>(values.size());
    tensors.push_back(
        StateTensor::whole(name, MatrixView<double>{values.data(), 1, size, size, {}}));
  };
  add("optimizer.weights", weights_);
  add("optimizer.alphas", alphas_);
  add("optimizer.accuracy", accuracy_);
  return tensors;
}

void DualLogisticSolver::restored() { stopped_ = check_gap(); }

void DualLogisticSolver::warm_started() {
  fail(ErrorKind::usage,
       "optimizer \"coordinate_descent\" cannot start from another model's coefficients, which do "
       "not tell its dual variables; use \"newton_cg\" or \"lbfgs\", or a mini-batch optimizer");
}

}  // namespace gradmill
