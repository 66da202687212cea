#include "models/linear/proximal_newton.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/linear_pass/row_losses.h"
#include "models/linear/chains.h"
#include "models/linear/class_weights.h"
#include "models/linear/precise_loss.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kForcing =
    0.25;  // by how much models are minimized further, when one pass was enough
constexpr double kShrink = 1e-2;  // of the largest violation: the margin of a column to be shrunk
// Relative to the objective: decreases below are looked for in double precision, and what that would hide.
constexpr double kPrecise = 1e-6, kNoise = 1e-14;
constexpr std::int64_t kMendEpochs = 8;  // in double precision: until margins are computed anew
constexpr double kDecrease = 0.01, kBacktrack = 0.5;  // of the line search
constexpr int kMostTrials = 20, kMostPasses = 100;
constexpr std::int64_t kLossRows = 4096, kMarginRows = 1 << 15, kColumns = 128;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

SampleColumns columns_of(const Context& host, const Samples& s) {
  return transpose(host, {s.rows(),
                          s.num_features,
                          static_cast<std::int64_t>(s.indices.size()),
                          s.offsets.data(),
                          s.indices.data(),
                          s.values.empty() ? nullptr : s.values.data(),
                          {}});
}
}  // namespace

ProximalNewtonSolver::ProximalNewtonSolver(const Context& ctx, const Context& host,
                                           Communicator& comm, const LinearConfig& config,
                                           std::uint64_t seed, const LinearShape& shape,
                                           const Loss& loss, Samples mine, std::string what)
    : ctx_(ctx),
      config_(config),
      seed_(seed),
      shape_(shape),
      loss_(loss),
      what_(std::move(what)),
      total_weight_(global_weight(host, comm, mine)),
      labels_(std::move(mine.labels)),
      weights_(std::move(mine.weights)),
      columns_(columns_of(host, mine)),
      user_(ctx, shape, {}) {
  points_.assign(at(shape.outputs * width()), 0.0);
  shrunk_.assign(points_.size(), 0.0f);
  progress_.resize(at(shape.outputs));
  next_.resize(at(width()));
  sums_.resize(at(width()));
  margins_.resize(at(shape.outputs) * labels_.size());
  next_margins_.resize(labels_.size());
  moves_.resize(labels_.size());
  bends_.resize(labels_.size());
  slopes_.resize(labels_.size());
}

/// body(chain, sample, value) for the entries of a column in the order of the samples; chain: 0 .. 3 in turn.
template <class Body>
void ProximalNewtonSolver::for_entries(std::int64_t column, const Body& body) const {
  const CsrView<const float> m = columns_.view();
  const bool ones = column == m.rows;  // the intercept's column
  const std::int64_t first = ones ? 0 : m.offsets[column];
  const std::int64_t count = ones ? m.cols : m.offsets[column + 1] - first;
  if (ones)
    in_chains(
        count, body, [](std::int64_t e) { return e; }, [](std::int64_t) { return 1.0f; });
  else if (m.values)
    in_chains(
        count, body, [i = m.indices + first](std::int64_t e) { return i[e]; },
        [x = m.values + first](std::int64_t e) { return x[e]; });
  else
    in_chains(
        count, body, [i = m.indices + first](std::int64_t e) { return i[e]; },
        [](std::int64_t) { return 1.0f; });
}

/// sums[i] = sum of weight_k x[i, column_k] over the columns, by blocks of samples. each(body) calls
/// body(column, weight) for every column.
template <class Each>
void ProximalNewtonSolver::combine_columns(double* sums, const Each& each) const {
  const CsrView<const float> m = columns_.view();
  ctx_.threads().parallel_for(
      columns_.samples, kMarginRows, [&](std::int64_t first, std::int64_t last, int) {
        std::fill(sums + first, sums + last, 0.0);
        each([&](std::int64_t j, double weight) {
          if (weight == 0) return;
          if (j == m.rows) {  // the intercept
            for (std::int64_t i = first; i < last; ++i) sums[i] += weight;
            return;
          }
          const std::int32_t* const end = m.indices + m.offsets[j + 1];
          const std::int32_t* i = std::lower_bound(m.indices + m.offsets[j], end, first);
          for (; i < end && *i < last; ++i)
            sums[*i] += weight * (m.values ? m.values[i - m.indices] : 1.0f);
        });
      });
}

/// Anew from the point.
void ProximalNewtonSolver::compute_margins(std::int64_t c) {
  evaluated_ = -1;
  combine_columns(margins(c), [this, w = point(c)](const auto& add) {
    add(shape_.num_features, w[shape_.num_features]);
    for (std::int64_t j = 0; j < shape_.num_features; ++j) add(j, w[j]);
  });
}

/// Mean loss and derivatives at these margins of output c.
double ProximalNewtonSolver::compute_losses(std::int64_t c, const double* margins) {
  const std::int64_t samples = columns_.samples, blocks = (samples + kLossRows - 1) / kLossRows;
  std::vector<double> sums(at(blocks));
  ctx_.threads().parallel_for(blocks, 1, [&](std::int64_t block, std::int64_t, int) {
    const std::int64_t first = block * kLossRows, count = std::min(kLossRows, samples - first);
    float scores[kLossRows], labels[kLossRows], curvatures[kLossRows];
    for (std::int64_t r = 0; r < count; ++r) {
      const float y = labels_[at(first + r)];
      scores[r] = static_cast<float>(margins[first + r]);
      labels[r] = shape_.outputs == 1 ? y : (y == static_cast<float>(c) ? 1.0f : 0.0f);
    }
    const VectorView<const float> weights{
        weights_.empty() ? nullptr : weights_.data() + first, weights_.empty() ? 0 : count, {}};
    const RowLosses losses{loss_, 1, nullptr, {labels, count, {}}, weights, 1.0f};
    sums[at(block)] =
        losses.evaluate(0, count, 1, scores, slopes_.data() + first, curvatures, nullptr);
    for (std::int64_t r = 0; r < count; ++r) bends_[at(first + r)].curvature = curvatures[r];
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total / total_weight_;
}

void ProximalNewtonSolver::evaluate(std::int64_t c) {
  if (evaluated_ == c) return;
  progress_[at(c)].loss = compute_losses(c, margins(c));
  evaluated_ = c;
}

ProximalNewtonSolver::Sums ProximalNewtonSolver::column_sums(std::int64_t column) const {
  Chains gradient, curvature;
  for_entries(column, [&](auto chain, std::int64_t i, float x) {
    gradient.of<chain>() += x * slopes_[at(i)];
    curvature.of<chain>() += x * x * bends_[at(i)].curvature;
  });
  return {gradient.total() / total_weight_, curvature.total() / total_weight_};
}

/// The size of the minimum-norm subgradient's element.
double ProximalNewtonSolver::violation(std::int64_t column, double gradient, double weight) const {
  const double l1 = column < shape_.num_features ? config_.l1 : 0.0;
  return weight == 0 ? std::max(std::abs(gradient) - l1, 0.0)
                     : std::abs(gradient + (weight > 0 ? l1 : -l1));
}

/// Sums of the columns that are not shrunk, the model of those that may move; the norm of the violations.
double ProximalNewtonSolver::compute_gradients(std::int64_t c) {
  const double* const w = point(c);
  float* const out = shrunk(c);
  Progress& p = progress_[at(c)];
  const std::int64_t n = shape_.num_features, count = n + (config_.intercept ? 1 : 0);
  ctx_.threads().parallel_for(count, kColumns, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t j = first; j < last; ++j)
      if (out[j] == 0) sums_[at(j)] = column_sums(j);
  });
  const double margin = kShrink * p.most_violation;
  double squares = 0;
  p.most_violation = 0;
  model_.clear();
  for (std::int64_t j = 0; j < count; ++j) {
    if (out[j] != 0) continue;
    const double l2 = j < n ? config_.l2 : 0.0;
    const double gradient = sums_[at(j)].gradient + l2 * w[j], v = violation(j, gradient, w[j]);
    if (w[j] != 0 || v > 0)
      model_.push_back({j, gradient, sums_[at(j)].curvature + l2, 0.0});
    else if (std::abs(gradient) < config_.l1 - margin)
      out[j] = 1;
    squares += v * v;
    p.most_violation = std::max(p.most_violation, v);
  }
  return std::sqrt(squares);
}

/// The best value of one coefficient in the model; the violation before.
double ProximalNewtonSolver::visit(const double* point, Coordinate& k) {
  Chains bent;
  for_entries(k.column, [&](auto chain, std::int64_t i, float x) {
    const Bend b = bends_[at(i)];
    bent.of<chain>() += x * (b.curvature * b.moved);
  });
  const bool penalized = k.column < shape_.num_features;
  const double l1 = penalized ? config_.l1 : 0.0, l2 = penalized ? config_.l2 : 0.0;
  const double gradient = k.gradient + bent.total() / total_weight_ + l2 * k.step;
  const double weight = point[k.column] + k.step, bend = k.curvature + 1e-12;
  double change = -weight;
  if (gradient + l1 < bend * weight)
    change = -(gradient + l1) / bend;
  else if (gradient - l1 > bend * weight)
    change = -(gradient - l1) / bend;
  if (change != 0) {
    // Exactly zero where it is to be.
    k.step = change == -weight ? -point[k.column] : k.step + change;
    const auto by = static_cast<float>(change);
    for_entries(k.column, [&](auto, std::int64_t i, float x) { bends_[at(i)].moved += by * x; });
  }
  return violation(k.column, gradient, weight);
}

/// Passes over the columns, in another order each, until the violations are small enough for the step; where one
/// pass does, the next model has to be minimized further.
void ProximalNewtonSolver::minimize_model(std::int64_t c, std::int64_t epoch) {
  Progress& p = progress_[at(c)];
  for (Bend& b : bends_) b.moved = 0;
  for (int pass = 0; pass < kMostPasses; ++pass) {
    const Permutation order(model_.size(), seed_,
                            static_cast<std::uint64_t>(epoch * kMostPasses + pass));
    double sum = 0;
    for (std::uint64_t k = 0; k < model_.size(); ++k) sum += visit(point(c), model_[order(k)]);
    if (p.forced < 0) p.forced = sum;
    if (sum > p.forced) continue;
    if (pass == 0) p.forced *= kForcing;
    break;
  }
}

double ProximalNewtonSolver::penalty(const double* point) const {
  double squares = 0, sizes = 0;
  for (std::int64_t j = 0; j < shape_.num_features; ++j) {
    squares += point[j] * point[j];
    sizes += std::abs(point[j]);
  }
  return 0.5 * config_.l2 * squares + config_.l1 * sizes;
}

/// Along the model's step. False, and nothing has moved, if no length lowers the objective.
bool ProximalNewtonSolver::search(std::int64_t c) {
  double* const w = point(c);
  Progress& p = progress_[at(c)];
  double predicted = 0;
  for (const Coordinate& k : model_) {
    const double l1 = k.column < shape_.num_features ? config_.l1 : 0.0;
    predicted +=
        k.gradient * k.step + l1 * (std::abs(w[k.column] + k.step) - std::abs(w[k.column]));
  }
  double before = p.loss + penalty(w);
  const bool close = -predicted <= kPrecise * std::abs(before);
  const auto precise = [&](const double* margins) {
    return precise_loss(ctx_, loss_, {labels_, weights_, shape_.outputs == 1 ? -1 : c}, margins) /
           total_weight_;
  };
  if (close) {
    before = precise(margins(c)) + penalty(w);
    combine_columns(moves_.data(), [this](const auto& add) {
      for (const Coordinate& k : model_) add(k.column, k.step);
    });
  }
  p.close = close ? 1 : 0;
  next_.assign(w, w + width());
  double length = 1;
  for (int trial = 0; trial < kMostTrials; ++trial, length *= kBacktrack) {
    for (const Coordinate& k : model_) next_[at(k.column)] = w[k.column] + length * k.step;
    for (std::size_t i = 0; i < bends_.size(); ++i)
      next_margins_[i] = margins(c)[i] + length * (close ? moves_[i] : bends_[i].moved);
    double loss = compute_losses(c, next_margins_.data());
    if (close) loss = precise(next_margins_.data());
    const double change = loss + penalty(next_.data()) - before;
    // Where rounding hides the decrease, the next gradient tells.
    const bool hidden =
        std::abs(change) <= kNoise * std::abs(before) && -predicted <= kNoise * std::abs(before);
    if (!(change <= kDecrease * length * predicted) && !hidden) continue;
    std::copy(next_.begin(), next_.end(), w);
    std::copy(next_margins_.begin(), next_margins_.end(), margins(c));
    evaluated_ = c;
    p.loss = loss;
    p.by_rounding = hidden ? 1 : 0;
    return true;
  }
  evaluated_ = -1;
  return false;
}

/// Also mends what rounding has done to the margins. False if nothing was shrunk.
bool ProximalNewtonSolver::unshrink(std::int64_t c) {
  progress_[at(c)].most_violation = kInfinity;
  progress_[at(c)].by_rounding = 0;  // of the columns that were left so far
  bool any = false;
  for (std::int64_t j = 0; j < width(); ++j) any |= std::exchange(shrunk(c)[j], 0.0f) != 0;
  if (any) {
    compute_margins(c);
    evaluate(c);
  }
  return any;
}

void ProximalNewtonSolver::iterate(std::int64_t c, std::int64_t epoch) {
  Progress& p = progress_[at(c)];
  if (p.done != 0) return;
  bool at_point = false;  // gradients are
  if (p.first_norm < 0) {
    // The scale of the tolerance is the gradient at 0, wherever the start is.
    const std::vector<double> start(point(c), point(c) + width());
    std::fill_n(point(c), width(), 0.0);
    compute_margins(c);
    evaluate(c);
    unshrink(c);
    p.norm = p.first_norm = compute_gradients(c);
    at_point = std::all_of(start.begin(), start.end(), [](double w) { return w == 0; });
    std::copy(start.begin(), start.end(), point(c));
    if (!at_point) {
      compute_margins(c);
      unshrink(c);
    }
  }
  const double bound = config_.tolerance * p.first_norm, last = p.norm;
  if (p.close != 0 && epoch % kMendEpochs == 0) compute_margins(c);
  if (!at_point) {
    evaluate(c);
    p.norm = compute_gradients(c);
  }
  if ((p.norm <= bound || model_.empty()) && unshrink(c)) p.norm = compute_gradients(c);
  if (p.norm <= bound) {
    p.done = 1;
    return;
  }
  const bool stuck = p.by_rounding != 0 && p.norm >= last;
  if (!stuck) minimize_model(c, epoch);
  if (!stuck && search(c)) return;
  // No step gains anything: what was shrunk is looked at, unless that has gained nothing the last time either.
  const double value = p.loss + penalty(point(c));
  const bool gained = value < p.stuck_at - kNoise * std::abs(value);
  p.stuck_at = value;
  if (!gained || !unshrink(c)) p.done = 2;
}

bool ProximalNewtonSolver::run_epoch(std::int64_t epoch) {
  if (stopped_) return false;
  const TraceSpan span(ctx_.tracer(), "proximal newton iteration");
  for (std::int64_t c = 0; c < shape_.outputs; ++c) iterate(c, epoch);
  publish();
  return !stopped_;
}

void ProximalNewtonSolver::publish() {
  const std::int64_t n = shape_.num_features, outputs = shape_.outputs;
  std::vector<float> rounded(points_.size());
  for (std::int64_t c = 0; c < outputs; ++c) {
    for (std::int64_t j = 0; j < n; ++j) rounded[at(c * n + j)] = static_cast<float>(point(c)[j]);
    rounded[at(outputs * n + c)] = static_cast<float>(point(c)[n]);
  }
  user_.from_classes({rounded.data(), static_cast<std::int64_t>(rounded.size()), {}});
  stopped_ = std::all_of(progress_.begin(), progress_.end(),
                         [](const Progress& p) { return p.done != 0; });
  if (!stopped_) return;
  double first = 0;
  for (const Progress& p : progress_) first += p.first_norm * p.first_norm;
  const double norm = progress()[0].second, bound = config_.tolerance * std::sqrt(first);
  const bool rounding = std::any_of(progress_.begin(), progress_.end(),
                                    [](const Progress& p) { return p.done == 2; });
  why_ = rounding ? fmt::format(
                        "no step lowers the objective beyond rounding: gradient norm "
                        "{:.3g}, {:.3g} wanted",
                        norm, bound)
                  : fmt::format("gradient norm {:.3g}, {:.3g} reached", norm, bound);
}

}  // namespace gradmill
