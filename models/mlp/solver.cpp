#include "models/mlp/solver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "kernels/optimizer_step/optimizer_step.h"
#include "kernels/sample_losses/sample_losses.h"
#include "models/mlp/architecture.h"
#include "models/mlp/batch_plan.h"
#include "models/mlp/embedding_table.h"
#include "models/mlp/forward.h"
#include "models/mlp/network.h"
#include "models/mlp/rows.h"
#include "models/schedule.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kObserveNs = 50'000'000;
constexpr std::uint32_t kEmbeddingDraw = 0x10000;  // behind the tensors of the network

class DataParallelMlp final : public MlpSolver {
 public:
  DataParallelMlp(const Context& ctx, const Context& host, Communicator& comm,
                  const MlpConfig& config, std::uint64_t seed, const MlpShape& shape, Samples mine);
  void observe(EpochObserver observer) override { observer_ = std::move(observer); }
  void run_epoch(std::int64_t epoch) override;
  double loss() override { return loss_; }
  std::vector<std::pair<std::string, double>> progress() const override;
  void predict(const Samples& samples, MatrixView<float> margins) override;
  std::vector<StateTensor> state() override;
  void restored() override {}
  std::vector<StateTensor> model() override;
  void warm_started() override;
  std::string describe() const override;

 private:
  struct Outcome {
    double loss = 0, norm = 0;
    bool finite = true;
  };
  Outcome gradients(const MlpBatch& batch, std::uint32_t step, double weight);
  void apply(const MlpBatch& batch, const OptimizerStep& numbers, double norm);
  OptimizerStep step_numbers(double rate) const;
  bool sums_embeddings() const { return comm_.world_size() > 1 || config_.clip_norm > 0; }
  MatrixView<float> margins(std::int64_t rows) {
    return margins_.matrix(rows, shape_.outputs, shape_.outputs);
  }
  MatrixView<float> embedding_gradient(std::int64_t rows) {
    const std::int64_t cols = network_.architecture().inputs - columns_.dense;
    return embedding_gradient_.matrix(rows, cols, cols);
  }
  MatrixView<float> input(std::int64_t rows) {
    const std::int64_t cols = network_.architecture().inputs;
    return input_.matrix(rows, cols, cols);
  }
  MlpTables tables();
  VectorView<float> predicting_parameters() {
    return averages_.empty() ? network_.parameters().values() : averages_.view();
  }
  EmbeddingTable::Options table_options(bool wide) const;

  const Context& ctx_;
  const Context& host_;
  Communicator& comm_;
  const MlpConfig config_;
  const std::uint64_t seed_;
  const MlpShape shape_;
  const MlpColumns columns_;
  const Loss loss_kind_;
  const MlpRows rows_;
  const BatchPlan plan_;
  const std::int64_t max_rows_;  // of a batch on this rank, and of a batch of predictions
  const std::int64_t piece_rows_;
  MlpNetwork network_;
  std::optional<EmbeddingTable> embedding_, wide_;
  MlpBatchMaker batches_;
  Buffer<float> input_, margins_, embedding_gradient_, slots_, averages_, scale_, finite_;
  Buffer<double> loss_sum_, norm_;
  BatchPlan::Share share_;
  EpochObserver observer_;
  std::array<std::int64_t, 2> counters_{};  // steps made, steps skipped
  double loss_ = 0, last_rate_ = 0, last_norm_ = 0;
};

DataParallelMlp::DataParallelMlp(const Context& ctx, const Context& host, Communicator& comm,
                                 const MlpConfig& config, std::uint64_t seed, const MlpShape& shape,
                                 Samples mine)
    : ctx_(ctx),
      host_(host),
      comm_(comm),
      config_(config),
      seed_(seed),
      shape_(shape),
      columns_(shape, mine.num_features),
      loss_kind_(mlp_loss(config, shape.num_classes)),
      rows_(columns_, mine),
      plan_(host, comm, rows_, config.global_batch, seed),
      max_rows_(std::max(kPredictRows, std::min(config.global_batch, mine.rows()))),
      piece_rows_(std::max(kPredictRows, (max_rows_ + config.accumulate - 1) / config.accumulate)),
      network_(ctx, mlp_architecture(config, shape, columns_), seed, piece_rows_),
      batches_(ctx, host, config.bag == "mean", config.wide) {
  if (columns_.fields > 0) {
    embedding_.emplace(ctx, comm, table_options(false), seed);
    if (config.wide) wide_.emplace(ctx, comm, table_options(true), seed);
    input_ = Buffer<float>(ctx, max_rows_ * network_.architecture().inputs);
    embedding_gradient_ =
        Buffer<float>(ctx, max_rows_ * (network_.architecture().inputs - columns_.dense));
  }
  const std::int64_t size = network_.parameters().size();
  margins_ = Buffer<float>(ctx, max_rows_ * shape.outputs);
  slots_ = Buffer<float>(ctx, size * optimizer_slots(mlp_optimizer(config.optimizer),
                                                     static_cast<float>(config.momentum)));
  slots_.zero();
  if (config.average_decay > 0) {
    averages_ = Buffer<float>(ctx, size);
    copy<float>(ctx, averages_.view(), network_.parameters().values());
  }
  scale_ = Buffer<float>(ctx, 1);
  finite_ = Buffer<float>(ctx, 1);
  loss_sum_ = Buffer<double>(ctx, 1);
  norm_ = Buffer<double>(ctx, 1);
  ctx.synchronize();
}

EmbeddingTable::Options DataParallelMlp::table_options(bool wide) const {
  EmbeddingTable::Options options;
  options.name = wide ? "wide.embedding" : "embedding";
  options.rows = columns_.categories;
  options.dim = wide ? shape_.outputs : embedding_dim(config_, columns_);
  options.row_wise = config_.embedding_optimizer == "rowwise_adagrad";
  options.optimizer = step_numbers(0);
  options.limit = wide ? 0.0f : 1 / std::sqrt(static_cast<float>(options.dim));
  options.draw = kEmbeddingDraw + (wide ? 1 : 0);
  return options;
}

OptimizerStep DataParallelMlp::step_numbers(double rate) const {
  OptimizerStep numbers;
  numbers.kind = mlp_optimizer(config_.optimizer);
  numbers.rate = static_cast<float>(rate);
  numbers.l1 = static_cast<float>(config_.l1);
  numbers.l2 = static_cast<float>(config_.l2);
  numbers.momentum = static_cast<float>(config_.momentum);
  numbers.nesterov = config_.nesterov;
  numbers.beta1 = static_cast<float>(config_.beta1);
  numbers.beta2 = static_cast<float>(config_.beta2);
  numbers.epsilon = static_cast<float>(config_.epsilon);
  const auto made = static_cast<double>(counters_[0] + 1);
  numbers.steps = static_cast<float>(made);
  numbers.unbias1 = static_cast<float>(1 / (1 - std::pow(config_.beta1, made)));
  numbers.unbias2 = static_cast<float>(1 / (1 - std::pow(config_.beta2, made)));
  return numbers;
}

void DataParallelMlp::run_epoch(std::int64_t epoch) {
  const TraceSpan span(ctx_.tracer(), "mlp epoch");
  const std::int64_t steps = plan_.steps_per_epoch();
  const std::vector<double> weights = plan_.step_weights(epoch);
  const Schedule schedule{config_.schedule, config_.learning_rate, config_.warmup_steps,
                          config_.planned_epochs * steps};
  double total = 0, weight = 0;
  std::int64_t told_ns = monotonic_ns();
  for (std::int64_t s = 0; s < steps; ++s) {
    if (observer_ && monotonic_ns() - told_ns >= kObserveNs) {
      observer_(static_cast<double>(s) / static_cast<double>(steps));
      told_ns = monotonic_ns();
    }
    const double step_weight = weights[static_cast<std::size_t>(s)];
    if (step_weight == 0) continue;  // all its samples have weight 0
    plan_.choose(epoch, s, share_);
    const MlpBatch batch = batches_.make(rows_, share_.rows, share_.positions, true);
    const std::int64_t step = epoch * steps + s;
    const Outcome outcome = gradients(batch, static_cast<std::uint32_t>(step), step_weight);
    last_rate_ = learning_rate(schedule, step);
    if (!outcome.finite) {
      expect(config_.on_nonfinite == "skip", ErrorKind::not_finite,
             "step {} of epoch {}: the loss is {} and the norm of the gradient is {}; lower "
             "optimizer.learning_rate, which is {}, set optimizer.clip_norm, or standardize the "
             "features",
             s, epoch, outcome.loss / step_weight, outcome.norm, config_.learning_rate);
      ++counters_[1];
      continue;
    }
    total += outcome.loss;
    weight += step_weight;
    last_norm_ = outcome.norm;
    apply(batch, step_numbers(last_rate_), outcome.norm);
    ++counters_[0];
  }
  loss_ = total / weight;
  expect(std::isfinite(loss_), ErrorKind::not_finite,
         "no step of epoch {} had a finite loss; lower optimizer.learning_rate, which is {}", epoch,
         config_.learning_rate);
}

MlpTables DataParallelMlp::tables() {
  MlpTables tables;
  if (embedding_) tables.embedding = embedding_->values();
  if (wide_) tables.wide = wide_->values();
  return tables;
}

/// Gradients of the mean loss of a global batch, the same on every rank.
DataParallelMlp::Outcome DataParallelMlp::gradients(const MlpBatch& batch, std::uint32_t step,
                                                    double weight) {
  Parameters& parameters = network_.parameters();
  const MatrixView<float> margins = this->margins(batch.rows);
  const MatrixView<const float> input =
      mlp_input(ctx_, batch, tables(), this->input(batch.rows), margins);
  const MatrixView<float> below = embedding_ ? embedding_gradient(batch.rows) : MatrixView<float>{};
  loss_sum_.zero();
  if (batch.rows == 0)
    ctx_.zero(parameters.gradients().data,
              static_cast<std::size_t>(parameters.size()) * sizeof(float));
  const std::int64_t piece = (batch.rows + config_.accumulate - 1) / config_.accumulate;
  for (std::int64_t first = 0; first < batch.rows; first += piece) {
    const std::int64_t count = std::min(piece, batch.rows - first);
    const MatrixView<float> m = margins.rows_slice(first, count);
    network_.forward(input.rows_slice(first, count), parameters.values(),
                     {true, step, batch.positions.slice(first, count)}, wide_.has_value(), m);
    SampleLossesArgs losses;
    losses.margins = m;
    losses.slopes = m;
    losses.labels = batch.labels.slice(first, count);
    if (batch.weights.size) losses.weights = batch.weights.slice(first, count);
    losses.loss_kind = loss_kind_;
    losses.scale = static_cast<float>(1 / weight);
    losses.loss = loss_sum_.view();
    sample_losses(ctx_, losses);
    network_.backward(m, first > 0, embedding_ ? below.rows_slice(first, count) : below);
  }
  comm_.all_reduce_sum(ctx_, parameters.gradients());
  clip_scale(ctx_, {parameters.gradients(), 0, scale_.view(), finite_.view(), norm_.view()});
  // Of each rank's own: the loss, and whether the embeddings' gradients are finite.
  std::array<double, 2> sums{};
  double norm = 0;
  copy_bytes(ctx_, &sums[0], Device{}, loss_sum_.view().data, ctx_.device(), sizeof(double));
  copy_bytes(ctx_, &norm, Device{}, norm_.view().data, ctx_.device(), sizeof norm);
  if (embedding_ && batch.rows > 0) {
    clip_scale(ctx_, {below.flat(), 0, scale_.view(), finite_.view(), norm_.view()});
    copy_bytes(ctx_, &sums[1], Device{}, norm_.view().data, ctx_.device(), sizeof(double));
  }
  ctx_.synchronize();
  comm_.all_reduce_sum(host_, VectorView<double>{sums.data(), 2, {}});
  Outcome outcome{sums[0], norm,
                  std::isfinite(sums[0]) && std::isfinite(sums[1]) && std::isfinite(norm)};
  if (!outcome.finite || !embedding_ || !sums_embeddings()) return outcome;
  embedding_->sum(batch.bags, below);
  if (wide_) wide_->sum(batch.wide_bags, margins);
  if (config_.clip_norm > 0) {
    double squares = norm * norm + std::pow(embedding_->norm(), 2);
    if (wide_) squares += std::pow(wide_->norm(), 2);
    outcome.norm = std::sqrt(squares);
    outcome.finite = std::isfinite(squares);
  }
  return outcome;
}

void DataParallelMlp::apply(const MlpBatch& batch, const OptimizerStep& numbers, double norm) {
  Parameters& parameters = network_.parameters();
  const bool clips = config_.clip_norm > 0 && norm > config_.clip_norm;
  const float scale = clips ? static_cast<float>(config_.clip_norm / norm) : 1.0f;
  scale_.upload({&scale, 1});
  OptimizerStepArgs args;
  args.optimizer = numbers;
  args.penalized = parameters.penalized();
  args.gradients = parameters.gradients();
  args.gradient_scale = scale_.view();
  args.values = parameters.values();
  args.slots = slots_.view();
  if (!averages_.empty()) args.averages = averages_.view();
  args.average_decay = static_cast<float>(config_.average_decay);
  optimizer_step(ctx_, args);
  if (!embedding_) return;
  const auto step = static_cast<std::int32_t>(counters_[0]);
  if (sums_embeddings()) {
    embedding_->apply(numbers, step, scale);
    if (wide_) wide_->apply(numbers, step, scale);
    return;
  }
  embedding_->update(batch.bags, embedding_gradient(batch.rows), numbers, step);
  if (wide_) wide_->update(batch.wide_bags, margins(batch.rows), numbers, step);
}

void DataParallelMlp::predict(const Samples& samples, MatrixView<float> to) {
  mlp_predict(ctx_, batches_, network_, predicting_parameters(), tables(),
              {input_.view(), margins_.view()}, MlpRows(columns_, samples), to);
}

std::vector<StateTensor> DataParallelMlp::model() {
  const Parameters& parameters = network_.parameters();
  std::vector<StateTensor> tensors;
  for (std::size_t t = 0; t < parameters.specs().size(); ++t)
    tensors.push_back(StateTensor::whole(parameters.specs()[t].name,
                                         parameters.within(predicting_parameters(), t)));
  if (embedding_) embedding_->add_model(tensors);
  if (wide_) wide_->add_model(tensors);
  return tensors;
}

void DataParallelMlp::warm_started() {
  if (!averages_.empty()) copy<float>(ctx_, averages_.view(), network_.parameters().values());
}

std::vector<StateTensor> DataParallelMlp::state() {
  std::vector<StateTensor> tensors = network_.parameters().state();
  if (embedding_) embedding_->add_state(tensors);
  if (wide_) wide_->add_state(tensors);
  const std::int64_t size = network_.parameters().size();
  if (!slots_.empty())
    tensors.push_back(
        StateTensor::whole("optimizer.slots", slots_.matrix(slots_.size() / size, size, size)));
  if (!averages_.empty())
    tensors.push_back(StateTensor::whole("averages", averages_.matrix(1, size, size)));
  tensors.push_back(StateTensor::whole("optimizer.counters",
                                       MatrixView<std::int64_t>{counters_.data(), 1, 2, 2, {}}));
  return tensors;
}

std::vector<std::pair<std::string, double>> DataParallelMlp::progress() const {
  std::vector<std::pair<std::string, double>> values{
      {"learning_rate", last_rate_},
      {"gradient_norm", last_norm_},
      {"skipped_steps", static_cast<double>(counters_[1])}};
  if (embedding_ && comm_.world_size() > 1)
    values.emplace_back("embedding_bytes_exchanged",
                        static_cast<double>(embedding_->bytes_exchanged() +
                                            (wide_ ? wide_->bytes_exchanged() : 0)));
  return values;
}

std::string DataParallelMlp::describe() const {
  const MlpArchitecture& a = network_.architecture();
  std::string text = fmt::format("MLP {}", a.inputs);
  for (const std::int64_t width : a.hidden) text += fmt::format("-{}", width);
  text += fmt::format("-{}", a.outputs);
  if (embedding_)
    text +=
        fmt::format(", {} embeddings of {}", columns_.categories, embedding_dim(config_, columns_));
  if (config_.wide) text += ", wide";
  return text + fmt::format(", {}, {} batches of {}", config_.optimizer, plan_.steps_per_epoch(),
                            config_.global_batch);
}
}  // namespace

std::unique_ptr<MlpSolver> make_mlp_solver(const Context& ctx, const Context& host,
                                           Communicator& comm, const MlpConfig& config,
                                           std::uint64_t seed, const MlpShape& shape,
                                           Samples mine) {
  const MlpConfig own = with_defaults(config);
  validate(own);
  require(static_cast<std::int64_t>(mine.labels.size()) == mine.rows(), "{} labels of {} rows",
          mine.labels.size(), mine.rows());
  return std::make_unique<DataParallelMlp>(ctx, host, comm, own, seed, shape, std::move(mine));
}

}  // namespace gradmill
