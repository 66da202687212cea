#include "models/linear/online.h"

#include <algorithm>
#include <cmath>

#include "models/linear/class_weights.h"
#include "models/linear/row_order.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr double kDenseShare = 0.4;  // from here MiniBatchSolver's dense rows are better
}

bool OnlineSolver::can(const Context& ctx, const Communicator& comm, const LinearConfig& config,
                       const LinearShape& shape, const Samples& samples) {
  return !ctx.is_cuda() && ctx.shadow() == nullptr && comm.world_size() == 1 &&
         shape.outputs == 1 && !config.average && is_mini_batch(config.optimizer) &&
         has_online_step(step_numbers(config, 0, 1)) &&
         static_cast<double>(samples.indices.size()) <
             kDenseShare * static_cast<double>(samples.rows()) *
                 static_cast<double>(samples.num_features);
}

OnlineSolver::OnlineSolver(const Context& host, Communicator& comm, const LinearConfig& config,
                           std::uint64_t seed, const LinearShape& shape, const Loss& loss,
                           Samples samples, std::string what)
    : host_(host),
      comm_(comm),
      config_(config),
      seed_(seed),
      shape_(shape),
      loss_kind_(loss),
      what_(std::move(what)),
      samples_(std::move(samples)),
      order_(row_order(host, samples_.rows(), config.global_batch, seed, comm.rank())),
      total_weight_(global_weight(host, comm, samples_)),
      num_slots_(optimizer_slots(optimizer_kind(config.optimizer), 0)),
      user_(host, shape, {}),
      cells_(host, shape.num_features + 1 + kOnlineSpareCells) {
  cells_.zero();
  std::int64_t most_rows = 0, most_entries = 0;
  for (std::int64_t b = 0; b < batches(); ++b) {
    std::int64_t entries = 0;
    for (const std::int32_t row : rows_of(b))
      entries += samples_.offsets[static_cast<std::size_t>(row) + 1] -
                 samples_.offsets[static_cast<std::size_t>(row)];
    most_entries = std::max(most_entries, entries);
    most_rows = std::max(most_rows, rows_of(b).size);
  }
  margins_ = Buffer<float>(host, 4 * most_rows);
  touched_ = Buffer<std::int32_t>(host, most_entries + kOnlineSpare);
}

std::int64_t OnlineSolver::batches() const {
  return (samples_.rows() + config_.global_batch - 1) / config_.global_batch;
}

VectorView<const std::int32_t> OnlineSolver::rows_of(std::int64_t batch) const {
  const std::int64_t first = first_row(batch);
  return {order_.data() + first, first_row(batch + 1) - first, {}};
}

float OnlineSolver::weight_of(std::int64_t batch) const {
  const VectorView<const std::int32_t> rows = rows_of(batch);
  if (samples_.weights.empty()) return static_cast<float>(rows.size);
  double sum = 0;
  for (const std::int32_t row : rows) sum += samples_.weights[static_cast<std::size_t>(row)];
  return static_cast<float>(sum);
}

double OnlineSolver::run_step(std::int64_t batch, std::int64_t next, std::int32_t step,
                              const OptimizerStep& numbers, const std::vector<float>& cumulative) {
  const auto count = [](const auto& v) { return static_cast<std::int64_t>(v.size()); };
  OnlineStepArgs args;
  args.samples = {samples_.rows(),
                  samples_.num_features,
                  count(samples_.indices),
                  samples_.offsets.data(),
                  samples_.indices.data(),
                  samples_.values.empty() ? nullptr : samples_.values.data(),
                  {}};
  args.rows = rows_of(batch);
  if (next < batches()) args.next = rows_of(next);
  args.labels = {samples_.labels.data(), count(samples_.labels), {}};
  args.weights = {samples_.weights.data(), count(samples_.weights), {}};
  args.loss_kind = loss_kind_;
  args.intercept = config_.intercept;
  const float weight = weight_of(batch);
  args.scale = weight > 0 ? 1 / weight : 0.0f;
  args.optimizer = numbers;
  args.step = step;
  args.cumulative_rates = {cumulative.data(), count(cumulative), {}};
  args.cells = cells_.view();
  args.margins = margins_.view();
  args.touched = touched_.view();
  return online_step(args);
}

bool OnlineSolver::run_epoch(std::int64_t epoch) {
  const TraceSpan span(host_.tracer(), "linear epoch");
  const std::int64_t steps = batches(), first = epoch * steps;
  const EpochRates rates = epoch_rates(config_, epoch, steps);
  const Permutation permutation(static_cast<std::uint64_t>(steps), seed_,
                                static_cast<std::uint64_t>(epoch));
  const auto batch_at = [&](std::int64_t s) {
    return s < steps ? static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(s)))
                     : steps;
  };
  double sum = 0;
  std::int64_t batch = batch_at(0);
  for (std::int64_t s = 0; s < steps; ++s) {
    tell(s, steps);
    const std::int64_t next = batch_at(s + 1);
    sum += run_step(batch, next, static_cast<std::int32_t>(s),
                    step_numbers(config_, first + s, rates.rates[static_cast<std::size_t>(s)]),
                    rates.cumulative);
    batch = next;
  }
  last_rate_ = rates.rates.back();
  online_settle(step_numbers(config_, first + steps - 1, last_rate_),
                static_cast<std::int32_t>(steps),
                {rates.cumulative.data(), static_cast<std::int64_t>(rates.cumulative.size()), {}},
                cells_.view().slice(0, shape_.num_features + 1));
  publish();
  loss_ = sum / total_weight_;
  expect(std::isfinite(loss_), ErrorKind::not_finite,
         "the loss of epoch {} is {}; lower optimizer.learning_rate, which is {}, or standardize "
         "the features",
         epoch, loss_, config_.learning_rate);
  return true;
}

void OnlineSolver::publish() {
  const LinearParameters to = user_.view();
  const std::int64_t n = shape_.num_features;
  const OnlineCell* const cells = cells_.view().data;
  for (std::int64_t j = 0; j < n; ++j) to.coefficients.data[j] = cells[j].weight;
  to.intercepts[0] = cells[n].weight;
}

void OnlineSolver::warm_started() {
  const LinearParameters from = user_.view();
  const std::int64_t n = shape_.num_features;
  const OptimizerStep numbers = step_numbers(config_, 0, config_.learning_rate);
  for (std::int64_t j = 0; j <= n; ++j) {
    OnlineCell& cell = cells_.view()[j];
    cell = {j < n ? from.coefficients.data[j] : from.intercepts[0], 0, 0, 0};
    float slot[2] = {};
    optimizer_start(numbers, cell.weight, slot[0], slot[1]);
    for (std::int64_t s = 0; s < num_slots_; ++s) this->slot(cell, s) = slot[s];
  }
}

/// The column that checkpoints have in place j.
std::int64_t OnlineSolver::place(std::int64_t j) const {
  return j < shape_.num_features ? columns_[static_cast<std::size_t>(j)] : j;
}

std::vector<StateTensor> OnlineSolver::state() {
  const std::int64_t rows = shape_.num_features + 1;
  if (saved_parameters_.empty()) {
    columns_ = columns_by_frequency(host_, comm_, samples_);
    saved_parameters_ = Buffer<float>(host_, rows);
    saved_slots_ = Buffer<float>(host_, rows * num_slots_);
  }
  for (std::int64_t j = 0; j < rows; ++j) {
    OnlineCell& cell = cells_.view()[place(j)];
    saved_parameters_.view()[j] = cell.weight;
    for (std::int64_t s = 0; s < num_slots_; ++s)
      saved_slots_.view()[j * num_slots_ + s] = slot(cell, s);
  }
  std::vector<StateTensor> tensors = user_.state();
  tensors.push_back(
      StateTensor::whole("optimizer.parameters", saved_parameters_.matrix(rows, 1, 1)));
  if (num_slots_ > 0)
    tensors.push_back(
        StateTensor::whole("optimizer.slots", saved_slots_.matrix(rows, num_slots_, num_slots_)));
  return tensors;
}

/// After state() has been overwritten.
void OnlineSolver::restored() {
  cells_.zero();
  for (std::int64_t j = 0; j <= shape_.num_features; ++j) {
    OnlineCell& cell = cells_.view()[place(j)];
    cell.weight = saved_parameters_.view()[j];
    for (std::int64_t s = 0; s < num_slots_; ++s)
      slot(cell, s) = saved_slots_.view()[j * num_slots_ + s];
  }
}

std::vector<std::pair<std::string, double>> OnlineSolver::progress() const {
  return {{"learning_rate", last_rate_}, {"steps", static_cast<double>(batches())}};
}

std::string OnlineSolver::describe() const {
  return what_ + fmt::format(", {} batches of {}", batches(), config_.global_batch);
}

}  // namespace gradmill
