#include "launch/mlp_model.h"

#include "launch/model_state.h"
#include "models/mlp/architecture.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::int64_t kMostDenseFeatures = 4096;  // of sparse rows, with sparse_rows = "auto"

int outputs_of(const MlpConfig& config, int num_classes) {
  const bool one_each = mlp_loss(config, num_classes).kind == LossKind::softmax || num_classes > 2;
  return one_each ? num_classes : 1;
}

bool embeds_sparse_rows(const MlpConfig& config, std::int64_t num_features) {
  return config.sparse_rows == "embedding" ||
         (config.sparse_rows == "auto" && num_features > kMostDenseFeatures);
}
}  // namespace

MlpShape mlp_shape(const MlpConfig& config, const SampleInputs& inputs) {
  MlpShape shape;
  shape.num_classes = static_cast<int>(inputs.classes.size());
  shape.outputs = outputs_of(config, shape.num_classes);
  if (inputs.pipeline) {
    for (const FeatureRange& range : inputs.pipeline->ranges())
      shape.fields.push_back({range.first, range.count, !range.numeric});
  } else if (inputs.num_features > 0) {
    shape.fields.push_back(
        {0, inputs.num_features, embeds_sparse_rows(config, inputs.num_features)});
  }
  return shape;
}

Checkpoint open_mlp(const std::string& path) {
  Checkpoint checkpoint = Checkpoint::open(model_folder(path));
  const std::string& kind = checkpoint.info().kind;
  expect(kind.starts_with("mlp"), ErrorKind::checkpoint, "{}: a model of kind {}, not an MLP",
         checkpoint.path(), kind);
  return checkpoint;
}

MlpModel MlpModel::load(const Context& ctx, const Context& host, const std::string& path) {
  const Checkpoint checkpoint = open_mlp(path);
  MlpModel model;
  model.info = checkpoint.info();
  load_config_text(model.config, model.info.config, checkpoint.path() + "/manifest.json");
  complete(model.config);
  model.inputs = SampleInputs::read(checkpoint);
  model.shape = mlp_shape(model.config.mlp, model.inputs);
  model.link = link_of(mlp_loss(model.config.mlp, model.shape.num_classes), model.shape.outputs);
  model.predictor = std::make_unique<MlpPredictor>(ctx, host, model.config.mlp, model.shape,
                                                   model.inputs.num_features);
  read_state(ctx, model.predictor->state(), checkpoint);
  return model;
}

}  // namespace gradmill
