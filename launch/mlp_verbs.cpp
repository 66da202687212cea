// evaluate, predict, export: an MLP.
#include <fmt/format.h>

#include <utility>

#include "launch/export.h"
#include "launch/mlp_model.h"
#include "launch/model_state.h"
#include "launch/model_verbs.h"
#include "launch/sample_verbs.h"

namespace gradmill {
namespace {
SamplePredictor load_mlp(const Context& ctx, const Context& host, const std::string& path) {
  const auto model = std::make_shared<MlpModel>(MlpModel::load(ctx, host, path));
  return {model->inputs, model->config, model->link, model->shape.outputs,
          [model](Samples samples) {
            const std::int64_t rows = samples.rows(), outputs = model->shape.outputs;
            std::vector<float> margins(static_cast<std::size_t>(rows * outputs));
            model->predictor->predict(samples, {margins.data(), rows, outputs, outputs, {}});
            model->inputs.to_label_units(margins);
            return margins;
          }};
}

IdColumn strings() {
  IdColumn column;
  column.kind = IdColumn::Kind::string;
  return column;
}

TensorSource source_of(const StateTensor& tensor) {
  const MatrixView<float> v = tensor.values<float>();
  return tensor_source(tensor.name, MatrixView<const float>(v));
}
}  // namespace

int evaluate_mlp(const Options& options, World& world, Log& log) {
  return evaluate_samples(options, world, log, load_mlp);
}

int predict_mlp(const Options& options, World& world, Log& log) {
  return predict_samples(options, world, log, load_mlp);
}

/// The tensors, and what their inputs and outputs are: dense_names of the first columns of the first layer,
/// embedding_names of the table's rows, field_ends: the rows of field f end at its f-th number.
int export_mlp(const Options& options, World&, Log& log) {
  const Context cpu = Context::cpu(1);
  const MlpModel model = MlpModel::load(cpu, cpu, options.target);
  IdColumn dense = strings(), categories = strings(), outputs = strings(), field_ends;
  for (const FeatureField& field : model.shape.fields) {
    for (std::int64_t i = 0; i < field.count; ++i)
      (field.categorical ? categories : dense)
          .push(std::string_view(model.inputs.feature_name(field.first + i)));
    if (field.categorical) field_ends.push(categories.size());
  }
  for (std::int64_t o = 0; o < model.shape.outputs; ++o)
    outputs.push(std::string_view(model.inputs.output_name(o, model.shape.outputs)));
  ModelExport out;
  for (const StateTensor& tensor : model.predictor->state())
    out.tensors.push_back(source_of(tensor));
  out.names = {{"output_names", &outputs}};
  if (dense.size() > 0) out.names.emplace_back("dense_names", &dense);
  if (categories.size() > 0) {
    out.names.emplace_back("embedding_names", &categories);
    out.names.emplace_back("field_ends", &field_ends);
  }
  const MlpConfig& config = model.config.mlp;
  out.metadata = {{"kind", model.info.kind},
                  {"hidden", config.hidden},
                  {"activation", config.activation},
                  {"norm", config.norm},
                  {"bag", config.bag},
                  {"loss", config.loss},
                  {"label_mean", fmt::format("{}", model.inputs.label_mean)},
                  {"label_scale", fmt::format("{}", model.inputs.label_scale)}};
  export_model(options.output, out);
  log.info(fmt::format("{}: {} tensors", options.output, out.tensors.size()));
  return 0;
}

}  // namespace gradmill
