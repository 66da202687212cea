// The keys of MLPs.
#include "launch/config.h"

namespace gradmill {

std::vector<ConfigKey> mlp_keys(MlpConfig& c) {
  return {
      {"model.hidden", kForMlp, "widths of the hidden layers, such as [256, 128]; 1 to 65536 each",
       ListAsText{&c.hidden}},
      {"model.activation", kForMlp, "relu, gelu, silu, tanh or identity", &c.activation},
      {"model.dropout", kForMlp, "share of hidden units left out of a step, 0 to 0.99", &c.dropout},
      {"model.norm", kForMlp, "before each activation: none or layer", &c.norm},
      {"model.residual", kForMlp, "add a hidden layer's input where the widths agree", &c.residual},
      {"model.wide", kForMlp, "a linear model of all features beside the network", &c.wide},
      {"model.interaction", kForMlp, "none", &c.interaction},
      {"model.embedding_dim", kForMlp,
       "1 to 4096; 0: 4 fourth roots of the categories of the largest field, at most 64",
       &c.embedding_dim},
      {"model.bag", kForMlp, "several values of one field are added: sum, or averaged: mean",
       &c.bag},
      {"model.sparse_rows", kForMlp,
       "rows without columns (LIBSVM): dense, embedding (one bag of all features), or auto: dense "
       "up to 4096 features",
       &c.sparse_rows},
      {"loss.kind", kForMlp, "auto, squared, logistic, softmax, huber, quantile or poisson",
       &c.loss},
      {"loss.parameter", kForMlp, "huber: delta; quantile: tau; negative: 1, 0.5",
       &c.loss_parameter},
      {"loss.class_weight", kForMlp, "none, balanced, or name=2.5,other=1", &c.class_weight},
      {"optimizer.kind", kForMlp, "sgd, adagrad, adam or adamw", &c.optimizer},
      {"optimizer.embedding", kForMlp,
       "of embedding rows: rowwise_adagrad, same (lazily), or auto: rowwise_adagrad with adagrad",
       &c.embedding_optimizer},
      {"optimizer.learning_rate", kForMlp,
       "negative: 0.001 of adam and adamw, 0.05 of sgd and adagrad", &c.learning_rate},
      {"optimizer.l2", kForMlp, "of weights: decay (adam: in the gradient), 0 or more", &c.l2},
      {"optimizer.l1", kForMlp, "of weights, proximal, 0 or more", &c.l1},
      {"optimizer.momentum", kForMlp, "sgd: 0 to 0.9999", &c.momentum},
      {"optimizer.nesterov", kForMlp, "sgd: Nesterov's momentum", &c.nesterov},
      {"optimizer.beta1", kForMlp, "adam, adamw: 0 to 0.999999", &c.beta1},
      {"optimizer.beta2", kForMlp, "adam, adamw: 0 to 0.99999999", &c.beta2},
      {"optimizer.epsilon", kForMlp, "adam, adamw, adagrad: 1e-12 to 1", &c.epsilon},
      {"optimizer.schedule", kForMlp,
       "of the learning rate: constant, linear, cosine, step, inverse_sqrt or one_cycle",
       &c.schedule},
      {"optimizer.warmup_steps", kForMlp, "steps until the learning rate is reached",
       &c.warmup_steps},
      {"optimizer.clip_norm", kForMlp,
       "longer gradients (of all parameters) are scaled to this norm; 0: never", &c.clip_norm},
      {"optimizer.average_decay", kForMlp,
       "predict with an exponential moving average of the weights, 0 (none) to 0.9999999",
       &c.average_decay},
      {"train.global_batch", kForMlp, "samples of a step, over all ranks", &c.global_batch},
      {"train.accumulate", kForMlp, "pieces that a batch is computed in, to save memory",
       &c.accumulate},
      {"train.precision", kForMlp, "fp32", &c.precision},
      {"train.freeze", kForMlp, "names of tensors that stay as they are", ListAsText{&c.freeze}},
      {"train.on_nonfinite", kForMlp,
       "a step whose loss or gradient is not finite: abort, or skip and count", &c.on_nonfinite},
  };
}

}  // namespace gradmill
