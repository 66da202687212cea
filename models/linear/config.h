// What a linear model can be told: keys of [model], [loss] and [optimizer] in a configuration file.
#pragma once

#include <cstdint>
#include <string>

namespace gradmill {

/// The objective is   (1 / W) sum_i s_i L(x_i w + b, y_i) + l2 / 2 |w|^2 + l1 |w|_1,   W = sum_i s_i,
/// which with l2 = 1 / (C W) has the minimum of LIBLINEAR's and scikit-learn's C. The intercept b is
/// never regularized.
struct LinearConfig {
  std::string loss =
      "auto";  // auto (logistic for 2 classes, softmax for more, else squared), squared,
               // logistic, softmax, hinge, squared_hinge, huber, quantile, poisson
  double loss_parameter = -1;  // huber: delta (1); quantile: tau (0.5); negative: that default
  std::string multiclass =
      "auto";  // auto (softmax loss: softmax, else one_vs_rest), softmax, one_vs_rest
  bool intercept = true;
  std::string optimizer =
      "auto";  // auto, lbfgs, owlqn, newton_cg, coordinate_descent, sgd, adagrad,
               // adam, adamw, ftrl
  double l2 = 1e-6;
  double l1 = 0;
  std::string class_weight = "none";  // none, balanced (W / (C W_c)), or "name=2.5,other=1"
  // full batch
  double tolerance =
      1e-6;          // stop when |gradient| <= tolerance * |gradient at 0| (as solvers do), or the
                     // duality gap <= tolerance * objective at 0
  int history = 10;  // lbfgs, owlqn
  // mini-batch
  double learning_rate = -1;  // negative: by the optimizer and the data (step_rates.h)
  std::int64_t global_batch = 256;
  std::string schedule = "constant";  // constant, linear, cosine, step, inverse_sqrt
  std::int64_t planned_epochs = 0;    // of the run, for schedules that end; 0: constant
  std::int64_t warmup_steps = 0;
  double momentum = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adam, adamw
  double ftrl_beta = -1;  // of a sample's gradient; negative: by the data (step_rates.h)
  bool average = false;   // of the parameters over the steps of the last epoch
  std::string exchange =
      "auto";  // gradients of mini-batches: dense, touched, sparse, sharded, auto (by counted bytes)
  std::int64_t device_bytes = 0;  // for samples on a GPU; 0: three quarters of what is free
};

/// Whether an optimizer of that name sees mini-batches (else the full batch).
bool is_mini_batch(const std::string& optimizer);

LinearConfig with_defaults(LinearConfig config);
/// Errors: ErrorKind::usage naming the key, its value and what is allowed.
void validate(const LinearConfig& config);

}  // namespace gradmill
