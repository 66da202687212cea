#include "models/mlp/architecture.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/pair_dots/pair_dots.h"
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

GemmPrecision precision_of(const std::string& name) {
  if (name == "tf32") return GemmPrecision::tf32;
  if (name == "bf16") return GemmPrecision::bf16;
  return name == "fp16" ? GemmPrecision::fp16 : GemmPrecision::fp32;
}

/// Errors: ErrorKind::usage naming what there is.
std::vector<std::string> frozen_parts(const MlpConfig& config, const MlpArchitecture& a) {
  std::vector<std::string> parts{"output"}, frozen;
  for (std::size_t l = 0; l < a.hidden.size(); ++l) parts.push_back("hidden." + std::to_string(l));
  if (config.wide) parts.push_back("wide");
  if (a.fields > 0) parts.push_back("embedding");
  if (a.projects()) parts.push_back("interaction");
  std::string_view left = config.freeze;
  while (!left.empty()) {
    const std::size_t comma = left.find(',');
    std::string part(left.substr(0, comma));
    left = comma == std::string_view::npos ? std::string_view{} : left.substr(comma + 1);
    std::erase(part, ' ');
    expect(std::find(parts.begin(), parts.end(), part) != parts.end(), ErrorKind::usage,
           "train.freeze names \"{}\"; this model has {}", part, fmt::join(parts, ", "));
    frozen.push_back(std::move(part));
  }
  expect(frozen.size() < parts.size(), ErrorKind::usage,
         "train.freeze names all parts of the model: nothing would be trained");
  return frozen;
}
}  // namespace

OptimizerKind mlp_optimizer(const std::string& name) {
  if (name == "sgd") return OptimizerKind::sgd;
  if (name == "adagrad") return OptimizerKind::adagrad;
  if (name == "adam") return OptimizerKind::adam;
  require(name == "adamw" || name == "lamb", "optimizer {}", name);
  return OptimizerKind::adamw;  // what rows of embeddings take with lamb
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
  a.fields = columns.fields;
  a.embedding_dim = embedding_dim(config, columns);
  a.dot_interaction = config.interaction == "dot";
  const std::int64_t n = a.vectors();
  expect(
      !a.dot_interaction || (a.fields > 0 && n > 1), ErrorKind::usage,
      "model.interaction is \"dot\", which is of pairs of embeddings, and of {} categorical and {} "
      "numeric columns there are none",
      columns.fields, columns.dense);
  a.inputs =
      a.first_embedding() + a.fields * a.embedding_dim + (a.dot_interaction ? num_pairs(n) : 0);
  a.hidden = hidden_widths(config);
  a.outputs = shape.outputs;
  a.activation = activation_of(config.activation);
  a.dropout = static_cast<float>(config.dropout);
  a.layer_norm = config.norm == "layer";
  a.batch_norm = config.norm == "batch";
  a.precision = precision_of(config.precision);
  a.frozen = frozen_parts(config, a);
  a.residual = config.residual;
  a.wide = config.wide;
  return a;
}

}  // namespace gradmill
