// What an MLP with embeddings can be told: keys of [model], [loss] and [optimizer].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradmill {

struct MlpConfig {
  std::string hidden = "256,128";   // widths of the hidden layers
  std::string activation = "relu";  // relu, gelu, silu, tanh, identity
  double dropout = 0;               // of hidden layers
  std::string norm = "none";        // none, layer, batch (sums of the global batch)
  bool residual = false;            // adds a hidden layer's input where widths agree
  bool wide = false;                // a linear model of all features beside the network
  std::string interaction =
      "none";  // none, dot: products of all pairs of embeddings and a projection of the dense part
  int embedding_dim =
      0;  // 0: min(64, 4 rounded-up fourth roots of the categories), the same for all
  std::string bag = "sum";  // of several values of one field: sum, mean
  std::string sparse_rows =
      "auto";  // rows without columns (LIBSVM): auto (dense up to 4096 features), dense, or
               // embedding: one bag of all features
  std::string label_scale =
      "standard";             // of a regression: trained on (label - mean) / deviation; none
  std::string loss = "auto";  // as in LinearConfig
  double loss_parameter = -1;
  std::string class_weight = "none";
  std::string optimizer = "adamw";  // sgd, adagrad, adam, adamw, lamb
  std::string embedding_optimizer =
      "auto";  // auto (row-wise adagrad for adagrad, else the same, lazily), rowwise_adagrad, same
  double learning_rate = -1;  // negative: the optimizer's default
  double l2 = 0, l1 = 0;      // of weights, not of biases and norms
  double momentum = 0.9;      // sgd
  bool nesterov = false;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::int64_t global_batch = 256;
  std::int64_t accumulate = 1;  // pieces that a global batch is computed in
  std::string schedule =
      "constant";  // constant, linear, cosine, step, inverse_sqrt, one_cycle, plateau
  std::int64_t planned_epochs = 0;  // of the run, for schedules that end; 0: constant
  std::int64_t warmup_steps = 0;
  double plateau_factor = 0.1;        // what a plateau multiplies the rate by
  std::int64_t plateau_patience = 5;  // epochs without a lower training loss that make one
  double clip_norm = 0;               // 0: no clipping
  double average_decay =
      0;  // exponential moving average of the weights, used for prediction; 0: none
  std::string precision = "fp32";      // fp32, tf32, bf16, fp16
  std::string freeze;                  // parts that stay as they are: "hidden.0,embedding"
  std::string on_nonfinite = "abort";  // abort, skip
};

/// The widths that `hidden` lists; none: a linear model.
/// Errors: ErrorKind::usage if it is no list of positive numbers.
std::vector<std::int64_t> hidden_widths(const MlpConfig& config);

MlpConfig with_defaults(MlpConfig config);
/// Errors: ErrorKind::usage naming the key, its value and what is allowed.
void validate(const MlpConfig& config);

}  // namespace gradmill
