#include "models/mlp/network.h"

#include <algorithm>
#include <cmath>

#include "kernels/dropout/dropout.h"
#include "runtime/expect.h"
#include "runtime/random.h"

namespace gradmill {

bool MlpArchitecture::is_frozen(std::string_view part) const {
  return std::find(frozen.begin(), frozen.end(), part) != frozen.end();
}

std::vector<ParameterSpec> MlpNetwork::specs(const MlpArchitecture& a) {
  std::vector<ParameterSpec> specs;
  std::int64_t inputs = a.inputs;
  for (std::size_t l = 0; l < a.hidden.size(); ++l) {
    const std::string name = "hidden." + std::to_string(l);
    specs.push_back({name + ".weight", a.hidden[l], inputs, true});
    specs.push_back({name + ".bias", a.hidden[l], 1, false});
    if (a.layer_norm || a.batch_norm) {
      specs.push_back({name + ".norm.scale", a.hidden[l], 1, false});
      specs.push_back({name + ".norm.shift", a.hidden[l], 1, false});
    }
    inputs = a.hidden[l];
  }
  specs.push_back({"output.weight", a.outputs, inputs, true});
  specs.push_back({"output.bias", a.outputs, 1, false});
  if (a.wide && a.dense > 0) specs.push_back({"wide.weight", a.outputs, a.dense, true});
  if (a.projects()) {
    specs.push_back({"interaction.weight", a.embedding_dim, a.dense, true});
    specs.push_back({"interaction.bias", a.embedding_dim, 1, false});
  }
  return specs;
}

MlpNetwork::MlpNetwork(const Context& ctx, MlpArchitecture architecture, std::uint64_t seed,
                       std::int64_t max_rows, Communicator* comm)
    : ctx_(ctx),
      comm_(comm),
      architecture_(std::move(architecture)),
      seed_(seed),
      parameters_(ctx, specs(architecture_), 2) {
  make_layers(max_rows);
  output_weights_ = (normalizes() ? 4 : 2) * layers_.size();
  output_bias_ = output_weights_ + 1;
  wide_ = output_bias_ + 1;
  projection_ = wide_ + (architecture_.wide && architecture_.dense > 0 ? 1 : 0);
  output_trained_ = !architecture_.is_frozen("output");
  wide_trained_ = !architecture_.is_frozen("wide");
  inputs_trained_ = architecture_.fields > 0 &&
                    (!architecture_.is_frozen("embedding") ||
                     (architecture_.projects() && !architecture_.is_frozen("interaction")));
  if (!inputs_trained_)
    while (lowest_ < layers_.size() && layers_[lowest_].frozen) ++lowest_;
  initialize(seed);
}

void MlpNetwork::make_layers(std::int64_t max_rows) {
  std::int64_t inputs = architecture_.inputs;
  for (std::size_t l = 0; l < architecture_.hidden.size(); ++l) {
    const std::int64_t outputs = architecture_.hidden[l];
    const std::size_t first = l * (normalizes() ? 4 : 2);
    Layer layer{};
    layer.inputs = inputs;
    layer.outputs = outputs;
    layer.weights = first;
    layer.bias = first + 1;
    layer.scale = first + 2;
    layer.shift = first + 3;
    layer.residual = architecture_.residual && inputs == outputs && l > 0;
    layer.frozen = architecture_.is_frozen("hidden." + std::to_string(l));
    const std::int64_t size = max_rows * stride(outputs);
    layer.out = Buffer<float>(ctx_, size);
    layer.gradient = Buffer<float>(ctx_, size);
    if (!is_plain(layer) || needs_pre_activation(architecture_.activation))
      layer.kept = Buffer<float>(ctx_, size);
    if (!is_plain(layer)) layer.product = Buffer<float>(ctx_, size);
    if (is_plain(layer) && !normalizes() && architecture_.activation == Activation::relu)
      layer.mask = Buffer<std::uint8_t>(ctx_, max_rows * gemm_mask_bytes(ctx_, outputs));
    if (normalizes()) {
      layer.normalized = Buffer<float>(ctx_, size);
      layer.inverse = Buffer<float>(ctx_, architecture_.batch_norm ? outputs : max_rows);
    }
    if (architecture_.batch_norm) {
      const std::vector<float> ones(static_cast<std::size_t>(outputs), 1.0f);
      layer.mean = Buffer<float>(ctx_, outputs);
      layer.mean.zero();
      layer.variance = Buffer<float>::from_host(ctx_, ones);
      layer.sums = Buffer<double>(ctx_, 2 * outputs);
      layer.gradient_sums = Buffer<double>(ctx_, 2 * outputs);
    }
    layers_.push_back(std::move(layer));
    inputs = outputs;
  }
}

/// Glorot, Bengio, AISTATS'10: uniform in +-sqrt(6 / (in + out)); He, Zhang, Ren, Sun, ICCV'15: normal with
/// variance 2 / in. Element e of tensor t is made from (seed, e, t).
void MlpNetwork::initialize(std::uint64_t seed) {
  const bool rectifies = architecture_.activation != Activation::tanh &&
                         architecture_.activation != Activation::identity;
  std::vector<float> values(static_cast<std::size_t>(parameters_.size()), 0.0f);
  for (std::size_t t = 0; t < parameters_.specs().size(); ++t) {
    const ParameterSpec& spec = parameters_.specs()[t];
    if (spec.name == "wide.weight") continue;  // the linear part begins at 0, as biases do
    const MatrixView<float> to =
        parameters_.within({values.data(), static_cast<std::int64_t>(values.size()), {}}, t);
    if (!spec.penalized) {
      if (spec.name.ends_with(".norm.scale")) std::fill_n(to.data, spec.rows, 1.0f);
      continue;
    }
    const auto in = static_cast<float>(spec.cols), out = static_cast<float>(spec.rows);
    const float deviation = std::sqrt(2 / in), limit = std::sqrt(6 / (in + out));
    for (std::int64_t e = 0; e < spec.rows * spec.cols; ++e) {
      const auto index = static_cast<std::uint64_t>(e);
      const auto draw = static_cast<std::uint32_t>(t);
      to.data[e] =
          rectifies && t < output_weights_
              ? deviation * random_normal(seed, RandomStream::init_weights, index, draw).a
              : limit *
                    (2 * to_unit(random_bits(seed, RandomStream::init_weights, index, draw).x[0]) -
                     1);
    }
  }
  copy_bytes(ctx_, parameters_.values().data, ctx_.device(), values.data(), Device{},
             values.size() * sizeof(float));
  ctx_.synchronize();
}

GemmArgs MlpNetwork::product() const {
  GemmArgs args;
  args.precision = architecture_.precision;
  return args;
}

MatrixView<const float> MlpNetwork::kept(Layer& layer) const {
  if (!is_plain(layer) || needs_pre_activation(architecture_.activation))
    return rows_of(layer.kept, layer.outputs);
  return rows_of(layer.out, layer.outputs);
}

void MlpNetwork::forward(MatrixView<const float> input, VectorView<float> flat, const MlpPass& pass,
                         bool add_to_margins, MatrixView<float> margins) {
  require(input.cols == architecture_.inputs && margins.cols == architecture_.outputs &&
              input.rows == margins.rows,
          "mlp: [{}, {}] to [{}, {}]", input.rows, input.cols, margins.rows, margins.cols);
  input_ = input;
  flat_ = flat;
  pass_ = pass;
  rows_ = input.rows;
  for (std::size_t l = 0; l < layers_.size(); ++l) layer_forward(l);
  GemmArgs args = product();
  if (architecture_.wide && architecture_.dense > 0) {
    args.a = {input.data, rows_, architecture_.dense, input.stride, input.device};
    args.b = parameters_.within(flat, wide_);
    args.transpose_b = true;
    args.accumulate = add_to_margins;
    args.c = margins;
    gemm(ctx_, args);
    add_to_margins = true;
  }
  args = product();
  args.a = input_of(layers_.size());
  args.b = parameters_.within(flat, output_weights_);
  args.transpose_b = true;
  args.accumulate = add_to_margins;
  args.finish = GemmArgs::Finish::bias_activation;
  args.bias = parameters_.within(flat, output_bias_).flat();
  args.c = margins;
  gemm(ctx_, args);
}

void MlpNetwork::layer_forward(std::size_t l) {
  Layer& layer = layers_[l];
  const Activation activation = architecture_.activation;
  GemmArgs args = product();
  args.a = input_of(l);
  args.b = parameters_.within(flat_, layer.weights);
  args.transpose_b = true;
  args.finish = GemmArgs::Finish::bias_activation;
  args.bias = parameters_.within(flat_, layer.bias).flat();
  // Unless the layer is plain, the activation's value stays, for its slope, and what leaves is another matrix.
  const bool keeps = needs_pre_activation(activation);
  const MatrixView<float> out = rows_of(layer.out, layer.outputs);
  const MatrixView<float> activated =
      is_plain(layer) ? out : rows_of(keeps ? layer.product : layer.kept, layer.outputs);
  if (normalizes()) {
    args.c = rows_of(layer.normalized, layer.outputs);
    gemm(ctx_, args);
    normalize(layer, activated);
  } else {
    args.activation = activation;
    if (keeps) args.kept = rows_of(layer.kept, layer.outputs);
    args.mask = mask_of(layer);
    args.c = activated;
    gemm(ctx_, args);
  }
  if (is_plain(layer)) return;
  DropoutArgs drop;
  drop.mask = {pass_.training ? architecture_.dropout : 0.0f,
               seed_,
               0,
               static_cast<std::uint32_t>(l),
               pass_.positions,
               pass_.input};
  drop.in = activated;
  if (layer.residual) drop.skip = input_of(l);
  drop.out = out;
  dropout(ctx_, drop);
}

void MlpNetwork::backward(MatrixView<const float> slopes, bool accumulate,
                          MatrixView<float> input_gradient) {
  if (architecture_.wide && architecture_.dense > 0 && wide_trained_) {
    GemmArgs args = product();
    args.a = slopes;
    args.transpose_a = true;
    args.b = {input_.data, rows_, architecture_.dense, input_.stride, input_.device};
    args.c = parameters_.gradients(wide_);
    args.accumulate = accumulate;
    gemm(ctx_, args);
  }
  if (output_trained_)
    weight_gradients(slopes, input_of(layers_.size()), output_weights_, output_bias_, accumulate);
  if (layers_.empty()) {
    if (inputs_trained_) input_gradients(slopes, 0, output_weights_, false, input_gradient);
  } else if (lowest_ < layers_.size()) {
    const std::size_t last = layers_.size() - 1;
    const MatrixView<float> gradient = rows_of(layers_[last].gradient, layers_[last].outputs);
    input_gradients(slopes, layers_.size(), output_weights_, false, gradient);
    layer_backward(last, gradient, accumulate, input_gradient);
  }
  if (architecture_.dot_interaction && inputs_trained_)
    interaction_backward(input_gradient, accumulate);
}

/// gradient: dL/dx_l, or that of what the activation gets where the product that made it could finish with the slope (plain layers).
void MlpNetwork::layer_backward(std::size_t l, MatrixView<float> gradient, bool accumulate,
                                MatrixView<float> input_gradient) {
  Layer& layer = layers_[l];
  MatrixView<float> dz = gradient;
  if (!is_plain(layer)) {
    dz = rows_of(layer.product, layer.outputs);
    DropoutGradientArgs drop;
    drop.mask = {pass_.training ? architecture_.dropout : 0.0f,
                 seed_,
                 0,
                 static_cast<std::uint32_t>(l),
                 pass_.positions,
                 pass_.input};
    drop.gradient = gradient;
    drop.activation = architecture_.activation;
    drop.kept = kept(layer);
    drop.out = dz;
    dropout_gradient(ctx_, drop);
  }
  if (normalizes()) norm_backward(layer, dz, accumulate);
  if (!layer.frozen) weight_gradients(dz, input_of(l), layer.weights, layer.bias, accumulate);
  if (l == 0) {
    if (inputs_trained_) input_gradients(dz, 0, layer.weights, false, input_gradient);
    return;
  }
  if (l == lowest_) return;
  // What skips the layer is already there: the gradient of its output is added to.
  const MatrixView<float> below =
      layer.residual ? gradient : rows_of(layers_[l - 1].gradient, layer.inputs);
  input_gradients(dz, l, layer.weights, layer.residual, below);
  layer_backward(l - 1, below, accumulate, input_gradient);
}

void MlpNetwork::weight_gradients(MatrixView<const float> dz, MatrixView<const float> in,
                                  std::size_t weights, std::size_t bias, bool accumulate) {
  GemmArgs args = product();
  args.a = dz;
  args.transpose_a = true;
  args.b = in;
  args.c = parameters_.gradients(weights);
  args.accumulate = accumulate;
  args.a_sums = parameters_.gradients(bias).flat();
  gemm(ctx_, args);
}

/// l: the layer whose input this is; its columns that need a gradient.
void MlpNetwork::input_gradients(MatrixView<const float> dz, std::size_t l, std::size_t weights,
                                 bool add, MatrixView<float> to) {
  const std::int64_t without = l == 0 ? architecture_.dense : 0;
  const MatrixView<float> w = parameters_.within(flat_, weights);
  if (w.cols == without) return;
  GemmArgs args = product();
  args.a = dz;
  args.b = {w.data + without, w.rows, w.cols - without, w.stride, w.device};
  args.accumulate = add;
  args.c = to;
  if (l > 0 && is_plain(layers_[l - 1])) {
    args.finish = GemmArgs::Finish::activation_gradient;
    args.activation = architecture_.activation;
    args.kept = rows_of(layers_[l - 1].kept.empty() ? layers_[l - 1].out : layers_[l - 1].kept,
                        layers_[l - 1].outputs);
    args.mask = mask_of(layers_[l - 1]);
  }
  gemm(ctx_, args);
}

}  // namespace gradmill
