#include "models/mlp/solver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "models/mlp/architecture.h"
#include "models/mlp/batch_plan.h"
#include "models/mlp/batch_ring.h"
#include "models/mlp/rows.h"
#include "models/mlp/step.h"
#include "models/schedule.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kObserveNs = 50'000'000;

/// The most entries that `rows` of the samples can have together.
std::int64_t most_entries(const MlpRows& samples, std::int64_t rows) {
  rows = std::min(rows, samples.rows);
  if (samples.one_each) return rows * samples.fields;
  std::vector<std::int64_t> counts;
  for (std::int64_t r = 0; r < samples.rows; ++r)
    counts.push_back(samples.offsets[static_cast<std::size_t>((r + 1) * samples.fields)] -
                     samples.offsets[static_cast<std::size_t>(r * samples.fields)]);
  std::nth_element(counts.begin(), counts.begin() + rows, counts.end(), std::greater<>{});
  return std::accumulate(counts.begin(), counts.begin() + rows, std::int64_t{0});
}

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
  void warm_started() override { step_.warm_started(); }
  std::string describe() const override;

 private:
  MlpStep::Sizes sizes() const;
  void look_for_plateau();
  /// Ends the run if a step up to this one was not finite and that is to end it.
  void check(std::int64_t step, std::int64_t steps_per_epoch) const;

  const Context& ctx_;
  const Context& host_;
  Communicator& comm_;
  const MlpConfig config_;
  const MlpShape shape_;
  const MlpColumns columns_;
  const MlpRows rows_;
  const BatchPlan plan_;
  MlpStep step_;
  MlpBatchRing ring_, predict_ring_;  // graphs know the places of the first
  BatchPlan::Share share_;
  EpochObserver observer_;
  double loss_ = 0, last_rate_ = 0;
  enum : int { kFactor, kBest, kEpochs };
  std::array<double, 3> plateau_{1, 0,
                                 -1};  // of the rate; lowest loss; epochs since it, -1: none yet
};

DataParallelMlp::DataParallelMlp(const Context& ctx, const Context& host, Communicator& comm,
                                 const MlpConfig& config, std::uint64_t seed, const MlpShape& shape,
                                 Samples mine)
    : ctx_(ctx),
      host_(host),
      comm_(comm),
      config_(config),
      shape_(shape),
      columns_(shape, mine.num_features),
      rows_(columns_, mine),
      plan_(host, comm, rows_, config.global_batch, seed),
      step_(ctx, comm, config_, seed, shape_, columns_, sizes()),
      ring_(ctx, host, config.bag == "mean", config.wide),
      predict_ring_(ctx, host, config.bag == "mean", config.wide) {
  ring_.reserve(rows_, std::min(config.global_batch, rows_.rows),
                most_entries(rows_, config.global_batch));
}

MlpStep::Sizes DataParallelMlp::sizes() const {
  const std::int64_t batch = std::min(config_.global_batch, rows_.rows);
  const std::int64_t pieces = config_.accumulate, rows = std::max(kPredictRows, batch);
  return {rows, std::max(kPredictRows, (rows + pieces - 1) / pieces), most_entries(rows_, batch)};
}

void DataParallelMlp::check(std::int64_t step, std::int64_t steps) const {
  const auto failed = static_cast<std::int64_t>(step_.glimpse(StepState::failed)) - 1;
  if (failed < 0 || failed > step) return;
  fail(ErrorKind::not_finite,
       "step {} of epoch {}: the loss of its batch is {} and the norm of the gradient is {}; lower "
       "optimizer.learning_rate, which is {}, set optimizer.clip_norm, or standardize the features",
       failed % steps, failed / steps, step_.glimpse(StepState::failed_loss),
       step_.glimpse(StepState::failed_norm), config_.learning_rate);
}

void DataParallelMlp::run_epoch(std::int64_t epoch) {
  const TraceSpan span(ctx_.tracer(), "mlp epoch");
  const std::int64_t steps = plan_.steps_per_epoch();
  const std::vector<double> weights = plan_.step_weights(epoch);
  const Schedule schedule{config_.schedule == "plateau" ? "constant" : config_.schedule,
                          config_.learning_rate, config_.warmup_steps,
                          config_.planned_epochs * steps};
  // The device is at most so many batches behind: what a step that far back says is known on every rank, so all
  // of them end at the same place.
  const std::int64_t ahead = MlpBatchRing::ahead(ctx_);
  std::vector<std::int64_t> recent;
  step_.clear_sums();
  std::int64_t told_ns = monotonic_ns();
  for (std::int64_t s = 0; s < steps; ++s) {
    if (observer_ && monotonic_ns() - told_ns >= kObserveNs) {
      observer_(static_cast<double>(s) / static_cast<double>(steps));
      told_ns = monotonic_ns();
    }
    const double weight = weights[static_cast<std::size_t>(s)];
    if (weight == 0) continue;  // all its samples have weight 0
    plan_.choose(epoch, s, share_);
    const std::int64_t step = epoch * steps + s;
    last_rate_ = plateau_[kFactor] * learning_rate(schedule, step);
    const MlpBatch batch = ring_.make(rows_, share_.rows, share_.positions, true,
                                      {last_rate_, weight, static_cast<double>(step),
                                       static_cast<double>(plan_.rows_of_step(s))});
    step_.run(batch);
    ring_.release(batch);
    recent.push_back(step);
    const auto made = static_cast<std::int64_t>(recent.size());
    if (made > ahead) check(recent[static_cast<std::size_t>(made - 1 - ahead)], steps);
  }
  const std::vector<double> state = step_.fetch_state();
  check(epoch * steps + steps, steps);
  loss_ = state[StepState::loss] / state[StepState::weight];
  expect(std::isfinite(loss_), ErrorKind::not_finite,
         "no step of epoch {} had a finite loss; lower optimizer.learning_rate, which is {}", epoch,
         config_.learning_rate);
  if (config_.schedule == "plateau") look_for_plateau();
}

/// As torch.optim.lr_scheduler.ReduceLROnPlateau, of the epochs' training losses, by a thousandth at least.
void DataParallelMlp::look_for_plateau() {
  if (plateau_[kEpochs] < 0 || loss_ < plateau_[kBest] * (1 - 1e-3)) {
    plateau_[kBest] = loss_;
    plateau_[kEpochs] = 0;
  } else if ((plateau_[kEpochs] += 1) >= static_cast<double>(config_.plateau_patience)) {
    plateau_[kFactor] *= config_.plateau_factor;
    plateau_[kEpochs] = 0;
  }
}

void DataParallelMlp::predict(const Samples& samples, MatrixView<float> to) {
  mlp_predict(ctx_, predict_ring_, step_.network(), step_.predicting_parameters(),
              step_.predicting_tables(), step_.predict_space(), MlpRows(columns_, samples), to);
}

std::vector<StateTensor> DataParallelMlp::model() {
  std::vector<StateTensor> tensors;
  step_.add_model(tensors);
  return tensors;
}

std::vector<StateTensor> DataParallelMlp::state() {
  std::vector<StateTensor> tensors;
  step_.add_state(tensors);
  if (config_.schedule == "plateau")
    tensors.push_back(
        StateTensor::whole("optimizer.plateau", MatrixView<double>{plateau_.data(), 1, 3, 3, {}}));
  return tensors;
}

std::vector<std::pair<std::string, double>> DataParallelMlp::progress() const {
  std::vector<std::pair<std::string, double>> values{
      {"learning_rate", last_rate_},
      {"gradient_norm", step_.glimpse(StepState::norm)},
      {"skipped_steps", step_.glimpse(StepState::skipped)}};
  if (const Replay& replay = step_.replay(); replay.launched() > 0) {
    values.emplace_back("graphs_launched", static_cast<double>(replay.launched()));
    values.emplace_back("step_kernels", static_cast<double>(replay.kernel_nodes()));
    values.emplace_back("step_nodes", static_cast<double>(replay.nodes()));
  }
  if (step_.has_embeddings() && comm_.world_size() > 1)
    values.emplace_back("embedding_bytes_exchanged", static_cast<double>(step_.bytes_exchanged()));
  return values;
}

std::string DataParallelMlp::describe() const {
  const MlpArchitecture& a = step_.architecture();
  std::string text = fmt::format("MLP {}", a.inputs);
  for (const std::int64_t width : a.hidden) text += fmt::format("-{}", width);
  text += fmt::format("-{}", a.outputs);
  if (step_.has_embeddings())
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
  expect(own.precision == "fp32" || ctx.is_cuda(), ErrorKind::usage,
         "train.precision is \"{}\", which is for CUDA; the CPU computes in fp32", own.precision);
  require(static_cast<std::int64_t>(mine.labels.size()) == mine.rows(), "{} labels of {} rows",
          mine.labels.size(), mine.rows());
  return std::make_unique<DataParallelMlp>(ctx, host, comm, own, seed, shape, std::move(mine));
}

}  // namespace gradmill
