// Norms and the interaction of an MLP, and what of it is frozen.
#include "kernels/batch_norm/batch_norm.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/optimizer_step/optimizer_step.h"
#include "kernels/pair_dots/pair_dots.h"
#include "models/mlp/network.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
MatrixView<float> columns(MatrixView<float> m, std::int64_t first, std::int64_t count) {
  return {m.data + first, m.rows, count, m.stride, m.device};
}
MatrixView<const float> columns(MatrixView<const float> m, std::int64_t first, std::int64_t count) {
  return {m.data + first, m.rows, count, m.stride, m.device};
}
}  // namespace

void MlpNetwork::normalize(Layer& layer, MatrixView<float> out) {
  if (architecture_.batch_norm)
    normalize_batch(layer, out);
  else
    normalize_layer(layer, out);
}

void MlpNetwork::normalize_layer(Layer& layer, MatrixView<float> out) {
  LayerNormArgs args;
  args.x = rows_of(layer.normalized, layer.outputs);
  args.scale = parameters_.within(flat_, layer.scale).flat();
  args.shift = parameters_.within(flat_, layer.shift).flat();
  args.activation = architecture_.activation;
  if (needs_pre_activation(args.activation)) args.kept = rows_of(layer.kept, layer.outputs);
  args.out = out;
  args.inverse = layer.inverse.view().slice(0, rows_);
  layer_norm(ctx_, args);
}

void MlpNetwork::normalize_batch(Layer& layer, MatrixView<float> out) {
  BatchNormArgs args;
  args.x = rows_of(layer.normalized, layer.outputs);
  if (pass_.training) {
    batch_norm_sums(ctx_, {args.x, layer.sums.view()});
    comm_->all_reduce_sum(ctx_, layer.sums.view());
    args.sums = layer.sums.view();
    args.input = pass_.input;
  }
  args.mean = layer.mean.view();
  args.variance = layer.variance.view();
  args.scale = parameters_.within(flat_, layer.scale).flat();
  args.shift = parameters_.within(flat_, layer.shift).flat();
  args.activation = architecture_.activation;
  if (needs_pre_activation(args.activation)) args.kept = rows_of(layer.kept, layer.outputs);
  args.out = out;
  args.inverse = layer.inverse.view();
  batch_norm(ctx_, args);
}

void MlpNetwork::norm_backward(Layer& layer, MatrixView<float> dz, bool accumulate) {
  VectorView<float> scale = parameters_.gradients(layer.scale).flat(),
                    shift = parameters_.gradients(layer.shift).flat();
  Workspace::Scope scratch(ctx_);
  if (layer.frozen) {  // they come along with what is needed
    scale = scratch.take<float>(layer.outputs);
    shift = scratch.take<float>(layer.outputs);
    accumulate = false;
  }
  if (architecture_.batch_norm) return batch_norm_backward(layer, dz, scale, shift);
  layer_norm_gradient(ctx_, {rows_of(layer.normalized, layer.outputs),
                             parameters_.within(flat_, layer.scale).flat(),
                             layer.inverse.view().slice(0, rows_), accumulate, dz, scale, shift});
}

void MlpNetwork::batch_norm_backward(Layer& layer, MatrixView<float> dz, VectorView<float> scale,
                                     VectorView<float> shift) {
  const MatrixView<float> normalized = rows_of(layer.normalized, layer.outputs);
  batch_norm_gradient_sums(ctx_, {dz, normalized, layer.gradient_sums.view(), scale, shift});
  comm_->all_reduce_sum(ctx_, layer.gradient_sums.view());
  batch_norm_gradient(ctx_,
                      {normalized, layer.gradient_sums.view(), pass_.input,
                       parameters_.within(flat_, layer.scale).flat(), layer.inverse.view(), dz});
}

void MlpNetwork::track(VectorView<const double> state) {
  if (!architecture_.batch_norm) return;
  for (Layer& layer : layers_)
    if (!layer.frozen) {
      BatchNormTrackArgs args;
      args.sums = layer.sums.view();
      args.input = pass_.input;
      args.state = state;
      args.mean = layer.mean.view();
      args.variance = layer.variance.view();
      batch_norm_track(ctx_, args);
    }
}

void MlpNetwork::add_statistics(std::vector<StateTensor>& tensors) {
  if (!architecture_.batch_norm) return;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const std::string name = "hidden." + std::to_string(l) + ".norm.";
    const std::int64_t units = layers_[l].outputs;
    tensors.push_back(StateTensor::whole(name + "mean", layers_[l].mean.matrix(units, 1, 1)));
    tensors.push_back(
        StateTensor::whole(name + "variance", layers_[l].variance.matrix(units, 1, 1)));
  }
}

std::vector<std::uint8_t> MlpNetwork::frozen_groups() const {
  if (architecture_.frozen.empty()) return {};
  std::vector<std::uint8_t> groups(
      static_cast<std::size_t>((parameters_.size() + kFrozenGroup - 1) / kFrozenGroup), 0);
  for (std::size_t t = 0; t < parameters_.specs().size(); ++t) {
    const std::string& name = parameters_.specs()[t].name;
    const std::size_t cut = name.find('.', name.starts_with("hidden.") ? 7 : 0);
    if (!architecture_.is_frozen(name.substr(0, cut))) continue;
    const ParameterSpec& spec = parameters_.specs()[t];
    const std::int64_t first = parameters_.offset(t);
    for (std::int64_t e = first; e < first + spec.rows * spec.cols; e += kFrozenGroup)
      groups[static_cast<std::size_t>(e / kFrozenGroup)] = 1;
  }
  return groups;
}

void MlpNetwork::interact(MatrixView<float> input, VectorView<float> flat) {
  const MlpArchitecture& a = architecture_;
  if (!a.dot_interaction) return;
  if (a.projects()) {
    GemmArgs args = product();
    args.a = columns(input, 0, a.dense);
    args.b = parameters_.within(flat, projection_);
    args.transpose_b = true;
    args.finish = GemmArgs::Finish::bias_activation;
    args.bias = parameters_.within(flat, projection_ + 1).flat();
    args.c = columns(input, a.dense, a.embedding_dim);
    gemm(ctx_, args);
  }
  const std::int64_t width = a.vectors() * a.embedding_dim;
  pair_dots(ctx_, {a.embedding_dim, columns(input, a.dense, width),
                   columns(input, a.dense + width, num_pairs(a.vectors()))});
}

/// input_gradient gets what comes through the pairs, and then is that of the projection's.
void MlpNetwork::interaction_backward(MatrixView<float> input_gradient, bool accumulate) {
  const MlpArchitecture& a = architecture_;
  const std::int64_t width = a.vectors() * a.embedding_dim;
  pair_dots_gradient(ctx_, {a.embedding_dim, columns(input_, a.dense, width),
                            columns(input_gradient, width, num_pairs(a.vectors())),
                            columns(input_gradient, 0, width)});
  if (a.projects() && !a.is_frozen("interaction"))
    weight_gradients(columns(input_gradient, 0, a.embedding_dim), columns(input_, 0, a.dense),
                     projection_, projection_ + 1, accumulate);
}

}  // namespace gradmill
