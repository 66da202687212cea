#include "models/linear/coordinate_descent.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/linear_pass/linear_pass.h"
#include "models/linear/class_weights.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kShrunkEpochs = 8;  // until all samples are looked at again
constexpr std::int64_t kRun =
    16;  // samples that are visited one after the other: they are near in memory

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

SampleMatrix matrix_of(const Samples& s) {
  SampleMatrix m;
  m.rows = {s.rows(),
            s.num_features,
            static_cast<std::int64_t>(s.indices.size()),
            s.offsets.data(),
            s.indices.data(),
            s.values.empty() ? nullptr : s.values.data(),
            {}};
  return m;
}
}  // namespace

CoordinateDescentSolver::CoordinateDescentSolver(const Context& ctx, const Context& host,
                                                 Communicator& comm, const LinearConfig& config,
                                                 std::uint64_t seed, const LinearShape& shape,
                                                 const Loss& loss, Samples mine,
                                                 std::vector<std::int32_t> order, std::string what)
    : ctx_(ctx),
      config_(config),
      seed_(seed),
      shape_(shape),
      squared_(loss.kind == LossKind::squared_hinge),
      what_(std::move(what)),
      total_weight_(global_weight(host, comm, mine)),
      user_(ctx, shape, order),
      samples_(std::move(mine)) {
  const std::int64_t rows = samples_.rows();
  const std::size_t cells = at(rows * shape.outputs);
  squares_.assign(at(rows), 0.0f);
  for (std::int64_t r = 0; r < rows; ++r) {
    double square = 0;
    for (std::int64_t e = samples_.offsets[at(r)]; e < samples_.offsets[at(r) + 1]; ++e) {
      const double x = samples_.values.empty() ? 1.0 : samples_.values[at(e)];
      square += x * x;
    }
    squares_[at(r)] = static_cast<float>(square);
    const double s = samples_.weights.empty() ? 1.0 : samples_.weights[at(r)];
    costs_.push_back(static_cast<float>(s / (total_weight_ * config.l2)));
  }
  weights_.assign(at(shape.outputs * (shape.num_features + 1)), 0.0f);
  alphas_.assign(cells, 0.0f);
  active_.resize(cells);
  bounds_.resize(at(2 * shape.outputs));
  reset_shrinking();
}

void CoordinateDescentSolver::reset_shrinking() {
  std::fill(active_.begin(), active_.end(), 1.0f);
  for (std::size_t c = 0; c < bounds_.size(); c += 2) {
    bounds_[c] = kInfinity;
    bounds_[c + 1] = -kInfinity;
  }
}

float CoordinateDescentSolver::label(std::int64_t c, std::int64_t row) const {
  const float y = samples_.labels[at(row)];
  const bool positive = shape_.outputs == 1 ? y > 0 : y == static_cast<float>(c);
  return positive ? 1.0f : -1.0f;
}

/// The best value of one dual variable, the others fixed.
void CoordinateDescentSolver::visit(std::int64_t c, std::int64_t row, double& highest,
                                    double& lowest) {
  float* const w = weights_.data() + c * shape_.num_features;
  const MatrixView<float> table{w, shape_.num_features, 1, 1, {}};
  const float y = label(c, row), cost = costs_[at(row)];
  float& alpha = alphas_[at(c * samples_.rows() + row)];
  const double diagonal = squared_ ? 0.5 / cost : 0.0, most = squared_ ? kInfinity : cost;
  float margin = 0;
  dot_rows(matrix_of(samples_), row, 1, table, &margin);
  const double gradient = y * margin - 1 + alpha * diagonal;
  double projected = gradient;
  if (alpha == 0) {
    if (gradient > bounds_[at(2 * c)]) active_[at(c * samples_.rows() + row)] = 0;
    projected = std::min(gradient, 0.0);
  } else if (alpha >= most) {
    if (gradient < bounds_[at(2 * c) + 1]) active_[at(c * samples_.rows() + row)] = 0;
    projected = std::max(gradient, 0.0);
  }
  highest = std::max(highest, projected);
  lowest = std::min(lowest, projected);
  const double bend = squares_[at(row)] + diagonal;
  if (projected == 0 || !(bend > 0)) return;
  const float old = alpha;
  alpha = static_cast<float>(std::clamp(alpha - gradient / bend, 0.0, most));
  const float change = (alpha - old) * y;
  scatter_rows(matrix_of(samples_), row, 1, &change, false, table);
}

void CoordinateDescentSolver::visit_class(std::int64_t c, std::int64_t epoch) {
  const std::int64_t rows = samples_.rows(), runs = (rows + kRun - 1) / kRun;
  if (rows == 0) return;
  const Permutation order(static_cast<std::uint64_t>(runs), seed_,
                          static_cast<std::uint64_t>(epoch));
  double highest = -kInfinity, lowest = kInfinity;
  for (std::int64_t r = 0; r < runs; ++r) {
    const auto run = static_cast<std::int64_t>(order(static_cast<std::uint64_t>(r)));
    const std::int64_t first = run * kRun, last = std::min(rows, first + kRun);
    for (std::int64_t row = first; row < last; ++row)
      if (active_[at(c * rows + row)] != 0) visit(c, row, highest, lowest);
  }
  // What lies beyond the largest violations of this epoch will most probably not move in the next.
  bounds_[at(2 * c)] = highest > 0 ? highest : kInfinity;
  bounds_[at(2 * c) + 1] = lowest < 0 ? lowest : -kInfinity;
}

/// Sets primal value and gap, of all classes together, in units of the configured objective.
bool CoordinateDescentSolver::check_gap() {
  const std::int64_t rows = samples_.rows(), n = shape_.num_features;
  constexpr std::int64_t kChunk = 1024;
  double primal = 0, dual = 0, start = 0;
  for (std::int64_t c = 0; c < shape_.outputs; ++c) {
    float* const w = weights_.data() + c * n;
    const MatrixView<const float> table{w, n, 1, 1, {}};
    struct Sums {
      double loss = 0, dual = 0, cost = 0;
    };
    std::vector<Sums> sums(at((rows + kChunk - 1) / kChunk));
    const auto chunks = static_cast<std::int64_t>(sums.size());
    ctx_.threads().parallel_for(chunks, 1, [&](std::int64_t chunk, std::int64_t, int) {
      float margins[kChunk];
      const std::int64_t first = chunk * kChunk, count = std::min(kChunk, rows - first);
      dot_rows(matrix_of(samples_), first, count, table, margins);
      Sums& sum = sums[at(chunk)];
      for (std::int64_t r = 0; r < count; ++r) {
        const double cost = costs_[at(first + r)], alpha = alphas_[at(c * rows + first + r)];
        const double gap = std::max(0.0, 1.0 - label(c, first + r) * margins[r]);
        sum.loss += cost * (squared_ ? gap * gap : gap);
        sum.dual += alpha - (squared_ && cost > 0 ? alpha * alpha / (4 * cost) : 0.0);
        sum.cost += cost;
      }
    });
    double square = 0;
    for (std::int64_t j = 0; j < n; ++j) square += static_cast<double>(w[j]) * w[j];
    primal += square / 2;
    dual -= square / 2;
    for (const Sums& sum : sums) {
      primal += sum.loss;
      dual += sum.dual;
      start += sum.cost;
    }
  }
  progress_.primal = config_.l2 * primal;
  progress_.gap = config_.l2 * (primal - dual);
  progress_.start = config_.l2 * start;
  progress_.shrunk = static_cast<double>(std::count(active_.begin(), active_.end(), 0.0f));
  return progress_.gap <= config_.tolerance * progress_.start;
}

bool CoordinateDescentSolver::run_epoch(std::int64_t epoch) {
  if (stopped_) return false;
  const TraceSpan span(ctx_.tracer(), "coordinate descent epoch");
  for (std::int64_t c = 0; c < shape_.outputs; ++c) visit_class(c, epoch);
  if (check_gap()) {
    stopped_ = true;
    why_ = fmt::format("duality gap {:.3g}, {:.3g} reached", progress_.gap,
                       config_.tolerance * progress_.start);
  } else if (epoch % kShrunkEpochs == kShrunkEpochs - 1) {
    reset_shrinking();  // some may have to move after all
  }
  user_.from_classes({weights_.data(), static_cast<std::int64_t>(weights_.size()), {}});
  return !stopped_;
}

std::vector<std::pair<std::string, double>> CoordinateDescentSolver::progress() const {
  return {{"duality_gap", progress_.gap}, {"shrunk", progress_.shrunk}};
}

std::vector<StateTensor> CoordinateDescentSolver::state() {
  std::vector<StateTensor> tensors = user_.state();
  const auto add = [&](const char* name, auto& values) {
    const auto size = static_cast<std::int64_t>(values.size());
    using T = typename std::remove_reference_t<decltype(values)>::value_type;
    tensors.push_back(StateTensor::whole(name, MatrixView<T>{values.data(), 1, size, size, {}}));
  };
  add("optimizer.weights", weights_);
  add("optimizer.alphas", alphas_);
  add("optimizer.active", active_);
  add("optimizer.bounds", bounds_);
  return tensors;
}

void CoordinateDescentSolver::restored() { stopped_ = check_gap(); }

void CoordinateDescentSolver::warm_started() {
  fail(ErrorKind::usage,
       "optimizer \"coordinate_descent\" cannot start from another model's coefficients, which do "
       "not tell its dual variables; use \"newton_cg\" or \"lbfgs\" with squared_hinge, or a "
       "mini-batch optimizer");
}

}  // namespace gradmill
