#include "models/linear/mini_batch.h"

#include <algorithm>
#include <cmath>

#include "kernels/linear_pass/linear_pass.h"
#include "kernels/vector_ops/vector_ops.h"
#include "models/linear/step_rates.h"
#include "models/schedule.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {

Buffer<float> zeros(const Context& ctx, std::int64_t size) {
  Buffer<float> buffer(ctx, size);
  buffer.zero();
  return buffer;
}
}  // namespace

MiniBatchSolver::MiniBatchSolver(const Context& ctx, const Context& host, Communicator& comm,
                                 const LinearConfig& config, std::uint64_t seed,
                                 const LinearShape& shape, const Loss& loss, Samples mine,
                                 std::vector<std::int32_t> order, std::string what)
    : ctx_(ctx),
      comm_(comm),
      config_(config),
      seed_(seed),
      shape_(shape),
      loss_kind_(loss),
      what_(std::move(what)),
      batches_(ctx, host, comm, std::move(mine),
               {config.intercept, config.global_batch, config.exchange, seed, config.device_bytes}),
      exchange_(ctx, comm, batches_, shape, config.intercept),
      owned_(exchange_.owned()),
      user_(ctx, shape, order),
      stride_(table_stride(shape.outputs)),
      num_slots_(
          optimizer_slots(optimizer_kind(config.optimizer), static_cast<float>(config.momentum))) {
  const std::int64_t rows = shape.num_features + 1;
  parameters_ = zeros(ctx, rows * stride_);
  accumulator_ = zeros(ctx, rows * stride_);
  slots_ = zeros(ctx, owned_.size() * num_slots_ * shape.outputs);
  if (config.average) averages_ = zeros(ctx, rows * stride_);
  seen_ = Buffer<std::int32_t>(ctx, owned_.size());
  seen_.zero();
  slopes_ = Buffer<float>(ctx, std::max<std::int64_t>(batches_.max_rows(), 1) * shape.outputs);
  row_losses_ = Buffer<float>(ctx, std::max<std::int64_t>(batches_.rows(), 1));
  rates_ = Buffer<float>(ctx, batches_.size() + 1);
  total_ = Buffer<double>(ctx, 1);
}

bool MiniBatchSolver::run_epoch(std::int64_t epoch) {
  const TraceSpan span(ctx_.tracer(), "linear epoch");
  const std::int64_t steps = batches_.size(), first = epoch * steps,
                     planned = config_.planned_epochs * steps;
  std::vector<float> cumulative{0};
  std::vector<double> rates;
  double sum = 0;
  const Schedule schedule{config_.schedule, config_.learning_rate, config_.warmup_steps, planned};
  for (std::int64_t s = 0; s < steps; ++s) {
    rates.push_back(learning_rate(schedule, first + s));
    cumulative.push_back(static_cast<float>(sum += rates.back()));
  }
  rates_.upload({cumulative.data(), cumulative.size()});
  last_rate_ = rates.back();
  if (!averages_.empty()) averages_.zero();
  const Permutation order(static_cast<std::uint64_t>(steps), seed_,
                          static_cast<std::uint64_t>(epoch));
  const auto batch_of = [&](std::int64_t s) {
    return s < steps ? static_cast<std::int64_t>(order(static_cast<std::uint64_t>(s))) : -1;
  };
  for (std::int64_t s = 0; s < steps; ++s) {
    tell(s, steps);
    run_step(batches_.batch(batch_of(s), batch_of(s + 1)), static_cast<std::int32_t>(s),
             step_numbers(config_, first + s, rates[static_cast<std::size_t>(s)]));
  }

  linear_settle(ctx_, {step_numbers(config_, first + steps - 1, rates.back()),
                       exchange_.owns_intercepts(), static_cast<std::int32_t>(steps), rates_.view(),
                       table(parameters_).rows_slice(owned_.begin, owned_.size()), slots(),
                       seen_.view(), own_averages()});
  exchange_.complete(table(parameters_));
  if (!averages_.empty()) exchange_.complete(table(averages_));
  publish();
  ::gradmill::sum(ctx_, {row_losses_.view().slice(0, batches_.rows()), total_.view()});
  comm_.all_reduce_sum(ctx_, total_.view());
  copy_bytes(ctx_, &loss_, Device{}, total_.view().data, ctx_.device(), sizeof loss_);
  ctx_.synchronize();
  loss_ /= batches_.total_weight();
  expect(std::isfinite(loss_), ErrorKind::not_finite,
         "the loss of epoch {} is {}; lower optimizer.learning_rate, which is {}, or standardize "
         "the features",
         epoch, loss_, config_.learning_rate);
  return true;
}

void MiniBatchSolver::run_step(const MiniBatches::Batch& batch, std::int32_t step,
                               const OptimizerStep& numbers) {
  const std::int64_t rows = batch.labels.size;
  const MatrixView<float> slopes = slopes_.matrix(rows, shape_.outputs, shape_.outputs);
  exchange_.pull(batch, table(parameters_));
  linear_batch_slopes(
      ctx_, {batch.matrix, batch.labels, batch.weights, loss_kind_, config_.intercept, batch.scale,
             table(parameters_), row_losses_.view().slice(batch.first_row, rows), slopes});
  LinearBatchUpdateArgs update;
  update.matrix = batch.matrix;
  update.intercept = config_.intercept;
  update.slopes = slopes;
  update.optimizer = numbers;
  update.step = step;
  update.cumulative_rates = rates_.view();
  update.parameters = table(parameters_);
  update.state_first = owned_.begin;
  update.slots = slots();
  update.seen = seen_.view();
  update.averages = own_averages();
  update.accumulator = table(accumulator_);
  exchange_.sum(batch, update);
  linear_batch_update(ctx_, update);
}

/// The user's parameters from the solver's.
void MiniBatchSolver::publish() {
  const MatrixView<float> from = table(averages_.empty() ? parameters_ : averages_);
  const std::int64_t n = shape_.num_features;
  user_.from(from.rows_slice(0, n), {from.row(n), shape_.outputs, ctx_.device()});
}

void MiniBatchSolver::warm_started() {
  const MatrixView<float> own = table(parameters_);
  const std::int64_t n = shape_.num_features;
  user_.to(own.rows_slice(0, n), {own.row(n), shape_.outputs, ctx_.device()});
  if (num_slots_ == 0) return;
  // Through the host, once a run.
  const std::vector<float> parameters = parameters_.to_host();
  std::vector<float> start(static_cast<std::size_t>(slots_.size()));
  const OptimizerStep numbers = step_numbers(config_, 0, config_.learning_rate);
  const std::int64_t outputs = shape_.outputs;
  for (std::int64_t i = 0; i < owned_.size(); ++i) {
    for (std::int64_t c = 0; c < outputs; ++c) {
      float slot[2];
      optimizer_start(numbers,
                      parameters[static_cast<std::size_t>((owned_.begin + i) * stride_ + c)],
                      slot[0], slot[1]);
      for (std::int64_t s = 0; s < num_slots_; ++s)
        start[static_cast<std::size_t>((i * num_slots_ + s) * outputs + c)] = slot[s];
    }
  }
  slots_.upload({start.data(), start.size()});
  ctx_.synchronize();
}

std::vector<std::pair<std::string, double>> MiniBatchSolver::progress() const {
  return {{"learning_rate", last_rate_}, {"steps", static_cast<double>(batches_.size())}};
}

std::vector<StateTensor> MiniBatchSolver::state() {
  std::vector<StateTensor> tensors = user_.state();
  tensors.push_back(StateTensor::whole("optimizer.parameters", table(parameters_)));
  if (num_slots_ > 0)
    tensors.push_back(
        exchange_.is_sharded()
            ? StateTensor::share("optimizer.slots", shape_.num_features + 1, owned_.begin, slots())
            : StateTensor::whole("optimizer.slots", slots()));
  return tensors;
}

std::string MiniBatchSolver::describe() const {
  std::string text =
      what_ + fmt::format(", {} batches of {}", batches_.size(), config_.global_batch);
  if (batches_.streams()) text += ", streamed to the device";
  if (comm_.world_size() > 1) text += ", " + batches_.plan().describe(shape_.outputs);
  return text;
}

}  // namespace gradmill
