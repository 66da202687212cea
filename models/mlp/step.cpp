#include "models/mlp/step.h"

#include <algorithm>
#include <cmath>

#include "kernels/lamb_step/lamb_step.h"
#include "kernels/optimizer_step/optimizer_step.h"
#include "kernels/sample_losses/sample_losses.h"
#include "kernels/step_control/step_control.h"
#include "models/mlp/architecture.h"

namespace gradmill {
namespace {
constexpr std::uint32_t kEmbeddingDraw = 0x10000;  // behind the tensors of the network
constexpr double kFirstLossScale = 65536;
}  // namespace

MlpStep::MlpStep(const Context& ctx, Communicator& comm, const MlpConfig& config,
                 std::uint64_t seed, const MlpShape& shape, const MlpColumns& columns,
                 const Sizes& sizes)
    : ctx_(ctx),
      comm_(comm),
      config_(config),
      shape_(shape),
      columns_(columns),
      loss_kind_(mlp_loss(config, shape.num_classes)),
      network_(ctx, mlp_architecture(config, shape, columns), seed, sizes.piece_rows, &comm),
      loss_(ctx, 1),
      state_(ctx, StepState::count),
      trains_embedding_(columns.fields > 0 && !architecture().is_frozen("embedding")),
      trains_wide_(columns.fields > 0 && config.wide && !architecture().is_frozen("wide")),
      ticket_(ctx, 1),
      report_(static_cast<double*>(ctx.allocate_pinned(StepState::count * sizeof(double)))),
      replay_(ctx) {
  if (columns.fields > 0) {
    embedding_.emplace(ctx, comm, table_options(false), seed);
    embedding_->reserve(sizes.entries);
    if (config.wide) {
      wide_.emplace(ctx, comm, table_options(true), seed);
      wide_->reserve(sizes.entries);
    }
    input_ = Buffer<float>(ctx, sizes.rows * architecture().inputs);
    embedding_gradient_ = Buffer<float>(ctx, sizes.rows * (architecture().inputs - columns.dense));
  }
  margins_ = Buffer<float>(ctx, sizes.rows * shape.outputs);
  make_optimizer();
  ticket_.zero();
  std::fill_n(report_, StepState::count, 0.0);
  ctx.synchronize();
}

void MlpStep::make_optimizer() {
  const Parameters& parameters = network_.parameters();
  const std::int64_t size = parameters.size();
  slots_ = Buffer<float>(ctx_, size * optimizer_slots(mlp_optimizer(config_.optimizer),
                                                      static_cast<float>(config_.momentum)));
  slots_.zero();
  if (config_.average_decay > 0) {
    averages_ = Buffer<float>(ctx_, size);
    copy<float>(ctx_, averages_.view(), network_.parameters().values());
  }
  std::vector<double> state(StepState::count, 0.0);
  if (config_.precision == "fp16") state[StepState::loss_scale] = kFirstLossScale;
  state_.upload(state);
  frozen_ = Buffer<std::uint8_t>::from_host(ctx_, network_.frozen_groups());
  if (config_.optimizer == "lamb") {
    std::vector<std::int64_t> first, chunks{0};
    for (std::size_t t = 0; t < parameters.specs().size(); ++t)
      first.push_back(parameters.offset(t));
    std::sort(first.begin(), first.end());
    first.push_back(size);
    for (std::size_t t = 0; t + 1 < first.size(); ++t)
      chunks.push_back(chunks.back() + (first[t + 1] - first[t] + kLambChunk - 1) / kLambChunk);
    num_chunks_ = chunks.back();
    tensors_ = Buffer<std::int64_t>::from_host(ctx_, first);
    chunks_ = Buffer<std::int64_t>::from_host(ctx_, chunks);
  }
  ctx_.synchronize();
}

MlpStep::~MlpStep() {
  try {
    ctx_.synchronize();  // a step may be on its way to report_
  } catch (...) {        // of a device or a peer that is lost, which others report
  }
  ctx_.deallocate_pinned(report_);
}

EmbeddingTable::Options MlpStep::table_options(bool wide) const {
  EmbeddingTable::Options options;
  options.name = wide ? "wide.embedding" : "embedding";
  options.rows = columns_.categories;
  options.dim = wide ? shape_.outputs : embedding_dim(config_, columns_);
  options.row_wise = config_.embedding_optimizer == "rowwise_adagrad";
  options.optimizer = optimizer();
  options.average_decay = static_cast<float>(config_.average_decay);
  options.limit = wide ? 0.0f : 1 / std::sqrt(static_cast<float>(options.dim));
  options.draw = kEmbeddingDraw + (wide ? 1 : 0);
  return options;
}

/// Without the numbers that the state has.
OptimizerStep MlpStep::optimizer() const {
  OptimizerStep numbers;
  numbers.kind = mlp_optimizer(config_.optimizer);
  numbers.l1 = static_cast<float>(config_.l1);
  numbers.l2 = static_cast<float>(config_.l2);
  numbers.momentum = static_cast<float>(config_.momentum);
  numbers.nesterov = config_.nesterov;
  numbers.beta1 = static_cast<float>(config_.beta1);
  numbers.beta2 = static_cast<float>(config_.beta2);
  numbers.epsilon = static_cast<float>(config_.epsilon);
  return numbers;
}

void MlpStep::run(const MlpBatch& batch) {
  // The exchange of embeddings between ranks waits for counts, which no graph can.
  if (embedding_ && comm_.world_size() > 1) return enqueue(batch);
  replay_.run({batch.slot, batch.rows, batch.bags.ids.size}, [&] { enqueue(batch); });
}

void MlpStep::enqueue(const MlpBatch& batch) {
  compute_gradients(batch);
  comm_.all_reduce_sum(ctx_, network_.parameters().gradients_and_tail());
  if (sums_embeddings()) {
    if (trains_embedding_) embedding_->sum(batch.bags, table_gradient(batch.rows));
    if (trains_wide_) wide_->sum(batch.wide_bags, margins(batch.rows));
  }
  decide(batch);
  change_parameters(batch);
}

MatrixView<const float> MlpStep::table_gradient(std::int64_t rows) {
  const MatrixView<float> all = embedding_gradient(rows);
  const MlpArchitecture& a = architecture();
  return {all.data + a.first_embedding() - a.dense, rows, a.fields * a.embedding_dim, all.stride,
          all.device};
}

MlpTables MlpStep::predicting_tables() {
  MlpTables tables;
  if (embedding_) tables.embedding = embedding_->averages(state_.view());
  if (wide_) tables.wide = wide_->averages(state_.view());
  return tables;
}

MlpTables MlpStep::tables() {
  MlpTables tables;
  if (embedding_) tables.embedding = embedding_->values();
  if (wide_) tables.wide = wide_->values();
  return tables;
}

/// Of this rank's part of the mean loss of the global batch.
void MlpStep::compute_gradients(const MlpBatch& batch) {
  Parameters& parameters = network_.parameters();
  if (batch.rows == 0) {
    const VectorView<float> all = parameters.gradients_and_tail();
    ctx_.zero(all.data, static_cast<std::size_t>(all.size) * sizeof(float));
    if (!architecture().batch_norm) return;  // else the other ranks' sums wait for this one's
  }
  const MatrixView<float> margins = this->margins(batch.rows);
  const MatrixView<const float> input = mlp_input(ctx_, batch, network_, parameters.values(),
                                                  tables(), this->input(batch.rows), margins);
  const MatrixView<float> below = embedding_ ? embedding_gradient(batch.rows) : MatrixView<float>{};
  const std::int64_t piece =
      std::max<std::int64_t>(1, (batch.rows + config_.accumulate - 1) / config_.accumulate);
  for (std::int64_t first = 0; first < std::max<std::int64_t>(batch.rows, 1); first += piece) {
    const std::int64_t count = std::min(piece, batch.rows - first);
    const MatrixView<float> m = margins.rows_slice(first, count);
    network_.forward(input.rows_slice(first, count), parameters.values(),
                     {true, batch.input, batch.positions.slice(first, count)}, wide_.has_value(),
                     m);
    SampleLossesArgs losses;
    losses.margins = m;
    losses.slopes = m;
    losses.labels = batch.labels.slice(first, count);
    if (batch.weights.size) losses.weights = batch.weights.slice(first, count);
    losses.loss_kind = loss_kind_;
    losses.input = batch.input;
    losses.state = state_.view();
    losses.accumulate = first > 0;
    losses.loss = loss_.view();
    losses.loss_parts = parameters.tail();
    losses.ticket = ticket_.view();
    sample_losses(ctx_, losses);
    network_.backward(m, first > 0, embedding_ ? below.rows_slice(first, count) : below);
  }
}

void MlpStep::decide(const MlpBatch& batch) {
  StepControlArgs args;
  args.parts[0].values = network_.parameters().gradients();
  if (sums_embeddings()) {
    if (trains_embedding_) args.parts[1] = embedding_->sums();
    if (trains_wide_) args.parts[2] = wide_->sums();
  } else if (trains_embedding_) {
    args.parts[1].values = embedding_gradient(batch.rows).flat();
    args.parts[1].counts = false;
  }
  args.dynamic = config_.precision == "fp16";
  args.loss_parts = network_.parameters().tail();
  args.input = batch.input;
  args.clip = static_cast<float>(config_.clip_norm);
  args.beta1 = static_cast<float>(config_.beta1);
  args.beta2 = static_cast<float>(config_.beta2);
  args.stop = config_.on_nonfinite == "abort";
  args.state = state_.view();
  args.report = {report_, StepState::count, ctx_.device()};
  args.ticket = ticket_.view();
  step_control(ctx_, args);
}

void MlpStep::change_parameters(const MlpBatch& batch) {
  Parameters& parameters = network_.parameters();
  OptimizerStepArgs args;
  args.optimizer = optimizer();
  args.state = state_.view();
  args.penalized = parameters.penalized();
  args.gradients = parameters.gradients();
  args.values = parameters.values();
  args.slots = slots_.view();
  if (!averages_.empty()) args.averages = averages_.view();
  args.average_decay = static_cast<float>(config_.average_decay);
  args.frozen = frozen_.view();
  if (config_.optimizer == "lamb")
    take_lamb_step(args);
  else
    optimizer_step(ctx_, args);
  network_.track(args.state);
  if (sums_embeddings()) {
    if (trains_embedding_) embedding_->apply(args.optimizer, args.state);
    if (trains_wide_) wide_->apply(args.optimizer, args.state);
  } else {
    if (trains_embedding_)
      embedding_->update(batch.bags, table_gradient(batch.rows), args.optimizer, args.state);
    if (trains_wide_)
      wide_->update(batch.wide_bags, margins(batch.rows), args.optimizer, args.state);
  }
}

void MlpStep::take_lamb_step(const OptimizerStepArgs& step) {
  LambStepArgs args;
  args.step = step;
  args.first = tensors_.view();
  args.chunks = chunks_.view();
  args.num_chunks = num_chunks_;
  lamb_step(ctx_, args);
}

void MlpStep::clear_sums() {
  static_assert(StepState::loss == 0 && StepState::weight == 1);
  ctx_.zero(state_.view().data, 2 * sizeof(double));
}

std::vector<double> MlpStep::fetch_state() { return state_.to_host(); }

double MlpStep::glimpse(int number) const {
  return *static_cast<const volatile double*>(report_ + number);
}

std::int64_t MlpStep::bytes_exchanged() const {
  return (embedding_ ? embedding_->bytes_exchanged() : 0) + (wide_ ? wide_->bytes_exchanged() : 0);
}

void MlpStep::add_model(std::vector<StateTensor>& tensors) {
  const Parameters& parameters = network_.parameters();
  for (std::size_t t = 0; t < parameters.specs().size(); ++t)
    tensors.push_back(StateTensor::whole(parameters.specs()[t].name,
                                         parameters.within(predicting_parameters(), t)));
  network_.add_statistics(tensors);
  if (embedding_) embedding_->add_model(tensors, state_.view());
  if (wide_) wide_->add_model(tensors, state_.view());
}

void MlpStep::warm_started() {
  if (averages_.empty()) return;
  copy<float>(ctx_, averages_.view(), network_.parameters().values());
  if (embedding_) embedding_->restart_averages();
  if (wide_) wide_->restart_averages();
}

void MlpStep::add_state(std::vector<StateTensor>& tensors) {
  tensors = network_.parameters().state();
  network_.add_statistics(tensors);
  if (embedding_) embedding_->add_state(tensors);
  if (wide_) wide_->add_state(tensors);
  const std::int64_t size = network_.parameters().size();
  if (!slots_.empty())
    tensors.push_back(
        StateTensor::whole("optimizer.slots", slots_.matrix(slots_.size() / size, size, size)));
  if (!averages_.empty())
    tensors.push_back(StateTensor::whole("averages", averages_.matrix(1, size, size)));
  tensors.push_back(
      StateTensor::whole("optimizer.state", state_.matrix(1, kStepStateKept, kStepStateKept)));
}

}  // namespace gradmill
