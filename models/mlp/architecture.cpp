#include "models/mlp/architecture.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"

namespace gradmill {
namespace {
Activation activation_of(const std::string& name) {
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu;
  if (name == "silu") return Activation::silu;
  if (name == "tanh") return Activation::tanh;
  require(name == "identity", "activation {}", name);
  return Activation::identity;
}

}  // namespace

OptimizerKind mlp_optimizer(const std::string& name) {
  if (name == "sgd") return OptimizerKind::sgd;
  if (name == "adagrad") return OptimizerKind::adagrad;
  if (name == "adam") return OptimizerKind::adam;
  require(name == "adamw", "optimizer {}", name);
  return OptimizerKind::adamw;
}

Loss mlp_loss(const MlpConfig& config, int num_classes) {
  const auto parameter = static_cast<float>(config.loss_parameter);
  std::string name = config.loss;
  if (name == "auto")
    name = num_classes == 0 ? "squared" : num_classes <= 2 ? "logistic" : "softmax";
  const bool classifies = name == "logistic" || name == "softmax";
  expect(!classifies || num_classes >= 2, ErrorKind::usage,
         "loss \"{}\" needs classes, and the labels are {}", name,
         num_classes == 1 ? "of one class only" : "numbers");
  if (name == "squared") return {LossKind::squared, parameter};
  if (name == "logistic") return {LossKind::logistic, parameter};
  if (name == "softmax") return {LossKind::softmax, parameter};
  if (name == "huber") return {LossKind::huber, parameter};
  if (name == "quantile") return {LossKind::quantile, parameter};
  require(name == "poisson", "loss {}", name);
  return {LossKind::poisson, parameter};
}

std::int64_t embedding_dim(const MlpConfig& config, const MlpColumns& columns) {
  if (columns.fields == 0) return 0;
  if (config.embedding_dim > 0) return config.embedding_dim;
  const double root = std::pow(static_cast<double>(columns.most_categories), 0.25);
  return std::min<std::int64_t>(64, 4 * static_cast<std::int64_t>(std::ceil(root - 1e-9)));
}

MlpArchitecture mlp_architecture(const MlpConfig& config, const MlpShape& shape,
                                 const MlpColumns& columns) {
  MlpArchitecture a;
  a.dense = columns.dense;
  a.inputs = columns.dense + columns.fields * embedding_dim(config, columns);
  a.hidden = hidden_widths(config);
  a.outputs = shape.outputs;
  a.activation = activation_of(config.activation);
  a.dropout = static_cast<float>(config.dropout);
  a.layer_norm = config.norm == "layer";
  a.residual = config.residual;
  a.wide = config.wide;
  return a;
}

}  // namespace gradmill
