#include "launch/linear_model.h"

#include "launch/model_state.h"
#include "runtime/expect.h"

namespace gradmill {

Link linear_link(const Loss& loss, const LinearShape& shape) {
  switch (loss.kind) {
    case LossKind::logistic:
      return shape.outputs > 1 ? Link::one_vs_rest : Link::logistic;
    case LossKind::softmax:
      return Link::softmax;
    case LossKind::hinge:
    case LossKind::squared_hinge:
      return Link::none;
    case LossKind::poisson:
      return Link::exponential;
    case LossKind::squared:
    case LossKind::huber:
    case LossKind::quantile:
      return Link::identity;
  }
  return Link::identity;
}

void write_linear_model(const Context& ctx, const Context& host, Communicator& comm,
                        const std::string& parent, const std::string& name,
                        const CheckpointInfo& info, const std::vector<StateTensor>& tensors,
                        const SampleInputs& inputs) {
  CheckpointWriter writer(host, comm, parent, name);
  const HostState state(ctx, tensors);
  state.add_to(writer);
  if (comm.rank() == 0) inputs.write(writer);
  writer.commit(info);
}

std::vector<StateTensor> parameter_tensors(const LinearParameters& parameters) {
  const VectorView<float>& b = parameters.intercepts;
  return {StateTensor::whole("coefficients", parameters.coefficients),
          StateTensor::whole("intercepts", MatrixView<float>{b.data, b.size, 1, 1, b.device})};
}

LinearModel LinearModel::load(const Context& ctx, const std::string& given) {
  const Checkpoint checkpoint = Checkpoint::open(model_folder(given));
  LinearModel model;
  model.info_ = checkpoint.info();
  expect(model.info_.kind.starts_with("linear"), ErrorKind::checkpoint,
         "{}: a model of kind {}, not a linear one", checkpoint.path(), model.info_.kind);
  load_config_text(model.config_, model.info_.config, checkpoint.path() + "/manifest.json");
  complete(model.config_);
  model.inputs_ = SampleInputs::read(checkpoint);
  const LinearShape shape =
      linear_shape(model.config_.linear, model.inputs_.num_features, model.num_classes());
  model.link_ = linear_link(linear_loss(model.config_.linear, model.num_classes()), shape);
  const std::int64_t n = shape.num_features, c = shape.outputs;
  const auto& stored = checkpoint.tensor("coefficients").shape;
  expect(stored == std::vector<std::int64_t>{c, n}, ErrorKind::checkpoint,
         "{}: coefficients are [{}], expected [{}, {}]", checkpoint.path(), fmt::join(stored, ", "),
         c, n);
  model.host_coefficients_.resize(static_cast<std::size_t>(c * n));
  model.host_intercepts_.resize(static_cast<std::size_t>(c));
  checkpoint.read_rows("coefficients", 0, c,
                       MatrixView<float>{model.host_coefficients_.data(), c, n, n, {}});
  checkpoint.read_rows("intercepts", 0, c,
                       MatrixView<float>{model.host_intercepts_.data(), c, 1, 1, {}});
  model.coefficients_ = Buffer<float>::from_host(
      ctx, {model.host_coefficients_.data(), model.host_coefficients_.size()});
  model.intercepts_ =
      Buffer<float>::from_host(ctx, {model.host_intercepts_.data(), model.host_intercepts_.size()});
  ctx.synchronize();
  return model;
}

LinearParameters LinearModel::parameters() {
  const std::int64_t n = inputs_.num_features;
  return {coefficients_.matrix(outputs(), n, n), intercepts_.view()};
}

std::string LinearModel::output_name(std::int64_t output) const {
  return inputs_.output_name(output, outputs());
}

}  // namespace gradmill
