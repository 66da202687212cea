// The dense layers of an MLP: parameters, forward and backward. Equations: README.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"
#include "kernels/activations.h"
#include "kernels/gemm/gemm.h"
#include "models/parameters.h"

namespace gradmill {

struct MlpArchitecture {
  /// Columns of the first layer's input: dense ones; with an interaction of them, their projection; embeddings; with
  /// an interaction the products of all pairs of the vectors between.
  std::int64_t inputs = 0;
  std::int64_t dense = 0;  // those of them that need no gradient
  std::int64_t fields = 0, embedding_dim = 0;
  bool dot_interaction = false;
  std::vector<std::int64_t> hidden;
  std::int64_t outputs = 1;
  Activation activation = Activation::relu;
  float dropout = 0;
  bool layer_norm = false, batch_norm = false;  // before the activation
  bool residual = false;                        // x_l = ... + x_{l-1} where the widths agree
  bool wide = false;                            // margins += wide x_0's dense columns
  GemmPrecision precision = GemmPrecision::fp32;
  std::vector<std::string>
      frozen;  // parts that stay as they are: hidden.0, output, wide, interaction, embedding

  bool projects() const { return dot_interaction && dense > 0; }
  std::int64_t first_embedding() const { return dense + (projects() ? embedding_dim : 0); }
  std::int64_t vectors() const { return fields + (projects() ? 1 : 0); }  // of the interaction
  bool is_frozen(std::string_view part) const;
};

/// Of one forward pass.
struct MlpPass {
  bool training = false;                     // dropout
  VectorView<const double> input;            // of the step (StepInput)
  VectorView<const std::int32_t> positions;  // of the rows in the global batch
};

class MlpNetwork {
 public:
  /// Weights by Glorot (tanh, identity, output) or He (relu, gelu, silu), biases 0; the same on every device and
  /// rank. max_rows: of a pass. comm: for passes of training with batch norm, which are collective.
  MlpNetwork(const Context& ctx, MlpArchitecture architecture, std::uint64_t seed,
             std::int64_t max_rows, Communicator* comm = nullptr);

  /// The tail of two numbers is the loss (SampleLossesArgs::loss_parts).
  Parameters& parameters() { return parameters_; }
  const MlpArchitecture& architecture() const { return architecture_; }

  /// Running statistics of batch norm.
  void add_statistics(std::vector<StateTensor>& tensors);
  /// Whether each group of kFrozenGroup parameters is frozen; none are: empty.
  std::vector<std::uint8_t> frozen_groups() const;

  /// Fills the columns of input [N, inputs] that the interaction makes of the others; before forward().
  void interact(MatrixView<float> input, VectorView<float> flat);
  /// margins [N, outputs] += or = f(input [N, inputs]) with the parameters `flat` (the layout of
  /// parameters().values()). Keeps what backward() needs; input must stay until then. N <= max_rows.
  void forward(MatrixView<const float> input, VectorView<float> flat, const MlpPass& pass,
               bool add_to_margins, MatrixView<float> margins);
  /// Gradients of the last forward pass, whose slopes [N, outputs] are dL/dmargins: parameters().gradients() = or
  /// += (accumulate), 0 of what is frozen; input_gradient [N, inputs - dense], if there are such columns and what
  /// is below is trained.
  void backward(MatrixView<const float> slopes, bool accumulate, MatrixView<float> input_gradient);
  /// Running statistics move on if the step applies (state).
  void track(VectorView<const double> state);

 private:
  struct Layer {
    std::int64_t inputs, outputs;
    std::size_t weights, bias, scale, shift;  // tensors
    bool residual, frozen;
    Buffer<float> kept, out, gradient, product, normalized, inverse;
    Buffer<float> mean, variance;  // of batch norm, running
    Buffer<double> sums, gradient_sums;
    Buffer<std::uint8_t> mask;  // of what a relu let pass
  };
  std::int64_t stride(std::int64_t cols) const { return (cols + 15) / 16 * 16; }
  MatrixView<float> rows_of(Buffer<float>& buffer, std::int64_t cols) const {
    return buffer.matrix(rows_, cols, stride(cols));
  }
  MatrixView<std::uint8_t> mask_of(Layer& layer) const {
    const std::int64_t bytes = gemm_mask_bytes(ctx_, layer.outputs);
    return layer.mask.empty() ? MatrixView<std::uint8_t>{} : layer.mask.matrix(rows_, bytes, bytes);
  }
  bool is_plain(const Layer& layer) const { return architecture_.dropout == 0 && !layer.residual; }
  /// What activation_slope reads of a layer.
  MatrixView<const float> kept(Layer& layer) const;
  MatrixView<const float> input_of(std::size_t layer) {
    return layer ? MatrixView<const float>(
                       rows_of(layers_[layer - 1].out, layers_[layer - 1].outputs))
                 : input_;
  }
  GemmArgs product() const;
  void layer_forward(std::size_t l);
  bool normalizes() const { return architecture_.layer_norm || architecture_.batch_norm; }
  void make_layers(std::int64_t max_rows);
  void normalize(Layer& layer, MatrixView<float> out);
  void normalize_layer(Layer& layer, MatrixView<float> out);
  void normalize_batch(Layer& layer, MatrixView<float> out);
  void norm_backward(Layer& layer, MatrixView<float> dz, bool accumulate);
  void batch_norm_backward(Layer& layer, MatrixView<float> dz, VectorView<float> scale,
                           VectorView<float> shift);
  void interaction_backward(MatrixView<float> input_gradient, bool accumulate);
  void layer_backward(std::size_t l, MatrixView<float> gradient, bool accumulate,
                      MatrixView<float> input_gradient);
  /// dweights and dbias of a layer from dz; and dx of what is below it, added to or in place of `below`.
  void weight_gradients(MatrixView<const float> dz, MatrixView<const float> in, std::size_t weights,
                        std::size_t bias, bool accumulate);
  void input_gradients(MatrixView<const float> dz, std::size_t l, std::size_t weights, bool add,
                       MatrixView<float> to);
  void initialize(std::uint64_t seed);
  static std::vector<ParameterSpec> specs(const MlpArchitecture& architecture);

  const Context& ctx_;
  Communicator* const comm_;
  const MlpArchitecture architecture_;
  const std::uint64_t seed_;
  Parameters parameters_;
  std::vector<Layer> layers_;
  std::size_t output_weights_ = 0, output_bias_ = 0, wide_ = 0, projection_ = 0;
  // What needs a gradient: the output layer; x_0; the lowest layer with anything trained in or below it (as many as
  // layers_: none).
  bool output_trained_ = true, wide_trained_ = true, inputs_trained_ = true;
  std::size_t lowest_ = 0;
  // Of the last forward pass.
  MatrixView<const float> input_;
  VectorView<float> flat_;
  MlpPass pass_;
  std::int64_t rows_ = 0;
};

}  // namespace gradmill
