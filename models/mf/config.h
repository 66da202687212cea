// What a matrix factorization run can be told (keys of [model] in a configuration file).
#pragma once

#include <cstdint>
#include <string>

namespace gradmill {

struct MfConfig {
  std::string algorithm = "als";  // als (explicit), sgd (explicit, biased), ials (implicit)
  std::string solver = "auto";    // als, ials: cholesky, cg, auto (als: cholesky, ials: cg)
  int num_factors = 64;           // 1 .. 256
  bool biases = true;             // als: user and item biases (sgd always has them)
  double regularization = -1;     // l2 of factors and biases; negative: als 0.1, sgd 0.1, ials 0.01
  double bias_regularization = -1;  // sgd: l2 of biases; negative: half of regularization
  double ridge_exponent =
      1;             // als, ials: l2 of a row is regularization * (its ratings + offset)^exponent
  double alpha = 1;  // ials: confidence of a rating r is unobserved_weight + alpha r
  double unobserved_weight = 0.4;  // ials: weight of the pairs that were not observed
  int cg_steps = 3;                // als, ials with cg
  double learning_rate = 0.1;      // sgd
  bool adagrad = true;             // sgd: one adaptive rate a row
  double init_stddev =
      -1;  // factors start as N(0, init_stddev^2 / num_factors); negative: 0.1, sgd 0.4
  std::string exchange =
      "auto";  // als, ials over ranks: gather (factors), reduce (normal equations), auto
};

/// Negative values replaced by the algorithm's defaults.
MfConfig with_defaults(MfConfig config);

/// Whether rows of als and ials are solved by conjugate gradient steps.
bool solves_by_cg(const MfConfig& config);

/// Of a config with_defaults: throws ErrorKind::usage naming the key, its value and what is allowed.
void validate(const MfConfig& config);

}  // namespace gradmill
