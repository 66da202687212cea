#include "launch/linear_training.h"

#include <optional>

#include "launch/linear_model.h"
#include "launch/sample_data.h"
#include "launch/sample_metrics.h"
#include "models/linear/scorer.h"
#include "models/linear/solver.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
class LinearTrainee final : public Trainee {
 public:
  explicit LinearTrainee(const TrainingSite& site);

  const TraineeData& data() const override { return summary_; }
  DecidingMetric deciding_metric() const override;
  void observe(EpochObserver observer) override { solver_->observe(std::move(observer)); }
  bool run_epoch(std::int64_t epoch) override { return solver_->run_epoch(epoch); }
  Metrics progress() override;
  void evaluate(Metrics& metrics) override;
  std::vector<StateTensor> state() override { return solver_->state(); }
  void restored() override { solver_->restored(); }
  void warm_start(const std::string& path) override;
  void write(const std::string& parent, const std::string& name, const CheckpointInfo& info,
             bool final) override;
  std::string kind() const override { return "linear-" + site_.config.linear.optimizer; }
  std::string describe() const override { return solver_->describe(); }
  std::string unit() const override { return "samples"; }
  void report(ReportData& report) const override {
    add_to_report(measured_, inputs_.classes, report);
  }
  std::string why_stopped() const override { return solver_->why_stopped(); }
  std::string if_diverged() const override {
    return is_mini_batch(site_.config.linear.optimizer)
               ? "lower optimizer.learning_rate"
               : "scale the features, or raise optimizer.l2";
  }

 private:
  int num_classes() const { return static_cast<int>(inputs_.classes.size()); }

  TrainingSite site_;
  SampleInputs inputs_;
  TraineeData summary_;
  Link link_ = Link::identity;
  std::unique_ptr<LinearSolver> solver_;
  std::optional<Scorer> held_out_;
  SampleMetrics measured_;  // of the last evaluation
};

LinearTrainee::LinearTrainee(const TrainingSite& site) : site_(site) {
  const auto& [config, ctx, host, comm, log] = site_;
  std::optional<SampleInputs>
      like;  // a run that goes on from a model keeps its features and classes
  if (!config.run.init.empty()) like = LinearModel::load(host, config.run.init).inputs();
  const std::int64_t begin = monotonic_ns();
  SampleData data = load_sample_data(host, comm, config, like ? &*like : nullptr, log);
  inputs_ = std::move(data.inputs);
  summary_ = {data.train_rows,
              data.valid_rows,
              data.skipped,
              data.digest,
              fmt::format("{} samples to train on, {} held out, {} features, {}", data.train_rows,
                          data.valid_rows, inputs_.num_features, inputs_.describe_labels()),
              static_cast<double>(monotonic_ns() - begin) / 1e9};
  const LinearShape shape = linear_shape(config.linear, inputs_.num_features, num_classes());
  link_ = link_of(linear_loss(config.linear, num_classes()), shape.outputs);
  solver_ = make_linear_solver(ctx, host, comm, config.linear, config.run.seed, shape,
                               std::move(data.train));
  if (data.valid_rows > 0) held_out_.emplace(ctx, host, std::move(data.valid));
}

/// The optimum decides for full-batch optimizers, unless a metric is asked for.
DecidingMetric LinearTrainee::deciding_metric() const {
  const std::string& metric = site_.config.train.metric;
  if (summary_.valid_rows == 0) return {};
  if (metric == "auto" && !is_mini_batch(site_.config.linear.optimizer)) return {};
  return deciding_sample_metric(metric, link_, num_classes());
}

Metrics LinearTrainee::progress() {
  Metrics metrics{{"loss", solver_->loss()}};
  for (auto& value : solver_->progress()) metrics.push_back(std::move(value));
  return metrics;
}

void LinearTrainee::evaluate(Metrics& metrics) {
  if (!held_out_) return;
  const LinearParameters parameters = solver_->parameters();
  const std::vector<float> margins = held_out_->margins(parameters);
  const std::int64_t outputs = parameters.coefficients.rows;
  const Scored scored{{margins.data(), held_out_->rows(), outputs, outputs, {}},
                      held_out_->labels(),
                      held_out_->weights()};
  measured_ = sample_metrics(site_.host, site_.comm, link_, num_classes(), scored);
  metrics.insert(metrics.end(), measured_.values.begin(), measured_.values.end());
}

void LinearTrainee::warm_start(const std::string& path) {
  LinearModel old = LinearModel::load(site_.host, path);
  const LinearParameters mine = solver_->parameters();
  expect(old.outputs() == mine.coefficients.rows, ErrorKind::usage,
         "{}: {} outputs, this run has {}; give it the same loss and multiclass", path,
         old.outputs(), mine.coefficients.rows);
  const LinearParameters from = old.parameters();
  for (std::int64_t c = 0; c < old.outputs(); ++c)
    copy_bytes(site_.ctx, mine.coefficients.row(c), mine.coefficients.device,
               from.coefficients.row(c), Device{},
               static_cast<std::size_t>(from.coefficients.cols) * sizeof(float));
  copy_bytes(site_.ctx, mine.intercepts.data, mine.intercepts.device, from.intercepts.data,
             Device{}, static_cast<std::size_t>(old.outputs()) * sizeof(float));
  site_.ctx.synchronize();
  solver_->warm_started();
  site_.log.info(
      fmt::format("coefficients of {} features taken over from {}", inputs_.num_features, path));
}

void LinearTrainee::write(const std::string& parent, const std::string& name,
                          const CheckpointInfo& info, bool final) {
  write_sample_model(site_.ctx, site_.host, site_.comm, parent, name, info,
                     final ? parameter_tensors(solver_->parameters()) : solver_->state(), inputs_);
}
}  // namespace

std::unique_ptr<Trainee> make_linear_trainee(const TrainingSite& site) {
  return std::make_unique<LinearTrainee>(site);
}

}  // namespace gradmill
