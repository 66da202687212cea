#include "launch/mlp_training.h"

#include <algorithm>
#include <optional>

#include "launch/mlp_model.h"
#include "launch/model_state.h"
#include "launch/sample_data.h"
#include "launch/sample_metrics.h"
#include "models/mlp/architecture.h"
#include "models/mlp/solver.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
/// "100 samples to train on, 10 held out, 6 dense columns, 8 fields of 102 categories, 2 classes (a, b)"
std::string description(const SampleData& data, const MlpShape& shape) {
  const MlpColumns columns(shape, data.inputs.num_features);
  std::string text = fmt::format("{} samples to train on, {} held out, {} dense columns",
                                 data.train_rows, data.valid_rows, columns.dense);
  if (columns.fields > 0)
    text += fmt::format(", {} fields of {} categories", columns.fields, columns.categories);
  return text + ", " + data.inputs.describe_labels();
}

class MlpTrainee final : public Trainee {
 public:
  explicit MlpTrainee(const TrainingSite& site);

  const TraineeData& data() const override { return summary_; }
  DecidingMetric deciding_metric() const override;
  void observe(EpochObserver observer) override { solver_->observe(std::move(observer)); }
  bool run_epoch(std::int64_t epoch) override {
    solver_->run_epoch(epoch);
    return true;
  }
  Metrics progress() override;
  void evaluate(Metrics& metrics) override;
  std::vector<StateTensor> state() override { return solver_->state(); }
  void restored() override { solver_->restored(); }
  void warm_start(const std::string& path) override;
  void write(const std::string& parent, const std::string& name, const CheckpointInfo& info,
             bool final) override {
    write_sample_model(site_.ctx, site_.host, site_.comm, parent, name, info,
                       final ? solver_->model() : solver_->state(), inputs_);
  }
  std::string kind() const override { return "mlp-" + site_.config.mlp.optimizer; }
  std::string describe() const override { return solver_->describe(); }
  std::string unit() const override { return "samples"; }
  std::string if_diverged() const override { return "lower optimizer.learning_rate"; }

 private:
  TrainingSite site_;
  SampleInputs inputs_;
  TraineeData summary_;
  MlpShape shape_;
  Link link_ = Link::identity;
  double loss_unit_ = 1;  // from the loss of scaled labels to that of the labels
  std::unique_ptr<MlpSolver> solver_;
  Samples held_out_;  // this rank's
};

MlpTrainee::MlpTrainee(const TrainingSite& site) : site_(site) {
  const auto& [config, ctx, host, comm, log] = site_;
  std::optional<SampleInputs>
      like;  // a run that goes on from a model keeps its features and classes
  if (!config.run.init.empty()) like = SampleInputs::read(open_mlp(config.run.init));
  const std::int64_t begin = monotonic_ns();
  SampleData data = load_sample_data(host, comm, config, like ? &*like : nullptr, log);
  shape_ = mlp_shape(config.mlp, data.inputs);
  summary_ = {data.train_rows,
              data.valid_rows,
              data.skipped,
              data.digest,
              description(data, shape_),
              static_cast<double>(monotonic_ns() - begin) / 1e9};
  const Loss loss = mlp_loss(config.mlp, shape_.num_classes);
  link_ = link_of(loss, shape_.outputs);
  MlpConfig own = config.mlp;
  if (link_ == Link::identity && own.label_scale == "standard") {
    standardize_labels(host, comm, !like, data);
    const double scale = data.inputs.label_scale;
    if (loss.kind == LossKind::huber) own.loss_parameter /= scale;
    loss_unit_ = loss.kind == LossKind::quantile ? scale : scale * scale;
  }
  inputs_ = std::move(data.inputs);
  solver_ = make_mlp_solver(ctx, host, comm, own, config.run.seed, shape_, std::move(data.train));
  held_out_ = std::move(data.valid);
}

DecidingMetric MlpTrainee::deciding_metric() const {
  if (summary_.valid_rows == 0) return {};
  return deciding_sample_metric(site_.config.train.metric, link_, shape_.num_classes);
}

Metrics MlpTrainee::progress() {
  Metrics metrics{{"loss", loss_unit_ * solver_->loss()}};
  for (auto& [name, value] : solver_->progress())
    if (name != "skipped_steps" || value > 0) metrics.emplace_back(name, value);
  return metrics;
}

void MlpTrainee::evaluate(Metrics& metrics) {
  if (summary_.valid_rows == 0) return;
  const std::int64_t rows = held_out_.rows(), outputs = shape_.outputs;
  std::vector<float> margins(static_cast<std::size_t>(rows * outputs));
  solver_->predict(held_out_, {margins.data(), rows, outputs, outputs, {}});
  inputs_.to_label_units(margins);
  const Scored scored{
      {margins.data(), rows, outputs, outputs, {}},
      {held_out_.labels.data(), rows, {}},
      {held_out_.weights.data(), static_cast<std::int64_t>(held_out_.weights.size()), {}}};
  for (auto& value :
       sample_metrics(site_.host, site_.comm, link_, shape_.num_classes, scored).values)
    metrics.push_back(std::move(value));
}

/// Parameters of the same name and shape; the optimizer starts anew.
void MlpTrainee::warm_start(const std::string& path) {
  const Checkpoint old = open_mlp(path);
  std::vector<StateTensor> taken;
  std::vector<std::string> left;
  for (StateTensor& tensor : solver_->state()) {
    if (tensor.name.starts_with("optimizer.") || tensor.name == "averages") continue;
    const TensorEntry* entry = old.manifest().find_tensor(tensor.name);
    if (entry && entry->shape == std::vector<std::int64_t>{tensor.global_rows, tensor.cols})
      taken.push_back(std::move(tensor));
    else
      left.push_back(tensor.name);
  }
  expect(!taken.empty(), ErrorKind::usage,
         "{}: no tensor of it has the name and shape of one of this model; see gradmill inspect",
         old.path());
  read_state(site_.ctx, taken, old);
  solver_->warm_started();
  site_.log.info(fmt::format("{} tensors taken over from {}{}{}", taken.size(), old.path(),
                             left.empty() ? "" : "; begun anew: ", fmt::join(left, ", ")));
}
}  // namespace

std::unique_ptr<Trainee> make_mlp_trainee(const TrainingSite& site) {
  return std::make_unique<MlpTrainee>(site);
}

}  // namespace gradmill
