#include "launch/linear_model.h"

#include "launch/model_state.h"
#include "runtime/expect.h"

namespace gradmill {

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
  model.link_ = link_of(linear_loss(model.config_.linear, model.num_classes()), shape.outputs);
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
