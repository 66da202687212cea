#include "models/linear/step_rates.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/schedule.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::int64_t kMostSamples = 4096;

/// b: no second derivative of the loss by the margin is larger (of Poisson's, where the rate is 1).
double curvature_bound(const Loss& loss) {
  switch (loss.kind) {
    case LossKind::logistic:
      return 0.25;
    case LossKind::softmax:
      return 0.5;
    case LossKind::squared_hinge:
      return 2;
    default:
      return 1;
  }
}

/// Sums over some samples of every rank.
struct Moments {
  double rows = 0, entries = 0, squares = 0, mean_square = 0;  // mean_square: |E x|^2
};

Moments moments_of(const Context& host, Communicator& comm, const Samples& mine, bool with_mean) {
  const std::int64_t rows = mine.rows(), count = std::min(rows, kMostSamples);
  std::array<double, 3> sums{static_cast<double>(count), 0, 0};
  std::vector<double> means(with_mean ? static_cast<std::size_t>(mine.num_features) : 0);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(rows * i / count);
    for (std::int64_t e = mine.offsets[row]; e < mine.offsets[row + 1]; ++e) {
      const auto at = static_cast<std::size_t>(e);
      const double x = mine.values.empty() ? 1.0 : mine.values[at];
      sums[1] += x != 0;
      sums[2] += x * x;
      if (with_mean) means[static_cast<std::size_t>(mine.indices[at])] += x;
    }
  }
  comm.all_reduce_sum(host, VectorView<double>{sums.data(), 3, {}});
  if (with_mean) comm.all_reduce_sum(host, VectorView<double>{means.data(), mine.num_features, {}});
  Moments m{sums[0], sums[1], sums[2], 0};
  for (const double mean : means) m.mean_square += mean * mean;
  m.mean_square /= std::max(m.rows * m.rows, 1.0);
  return m;
}
}  // namespace

OptimizerKind optimizer_kind(const std::string& name) {
  if (name == "sgd") return OptimizerKind::sgd;
  if (name == "adagrad") return OptimizerKind::adagrad;
  if (name == "adam") return OptimizerKind::adam;
  if (name == "adamw") return OptimizerKind::adamw;
  require(name == "ftrl", "optimizer {}", name);
  return OptimizerKind::ftrl;
}

OptimizerStep step_numbers(const LinearConfig& config, std::int64_t step, double rate) {
  OptimizerStep numbers;
  numbers.kind = optimizer_kind(config.optimizer);
  numbers.rate = static_cast<float>(rate);
  numbers.l1 = static_cast<float>(config.l1);
  numbers.l2 = static_cast<float>(config.l2);
  numbers.momentum = static_cast<float>(config.momentum);
  numbers.beta1 = static_cast<float>(config.beta1);
  numbers.beta2 = static_cast<float>(config.beta2);
  numbers.epsilon = static_cast<float>(config.epsilon);
  // It is in units of a sample's gradient, which is 1 / global_batch of a batch's mean.
  numbers.ftrl_beta =
      static_cast<float>(config.ftrl_beta / static_cast<double>(config.global_batch));
  const auto made = static_cast<double>(step + 1);
  numbers.steps = static_cast<float>(made);
  numbers.unbias1 = static_cast<float>(1 / (1 - std::pow(config.beta1, made)));
  numbers.unbias2 = static_cast<float>(1 / (1 - std::pow(config.beta2, made)));
  return numbers;
}

EpochRates epoch_rates(const LinearConfig& config, std::int64_t epoch, std::int64_t steps) {
  const Schedule schedule{config.schedule, config.learning_rate, config.warmup_steps,
                          config.planned_epochs * steps};
  EpochRates result;
  result.cumulative.push_back(0);
  double sum = 0;
  for (std::int64_t s = 0; s < steps; ++s) {
    result.rates.push_back(learning_rate(schedule, epoch * steps + s));
    result.cumulative.push_back(static_cast<float>(sum += result.rates.back()));
  }
  return result;
}

LinearConfig with_data_defaults(const Context& host, Communicator& comm, LinearConfig config,
                                const Loss& loss, const Samples& mine) {
  const bool rate = config.learning_rate < 0, beta = config.ftrl_beta < 0;
  if (!rate && !beta) return config;
  const bool sgd = config.optimizer == "sgd";
  const Moments m = moments_of(host, comm, mine, sgd && rate);
  // Without any entry a model is its intercept.
  const double size = m.entries > 0 && m.squares > 0 ? std::sqrt(m.squares / m.entries) : 1.0;
  if (beta) config.ftrl_beta = size;
  if (!rate) return config;
  const double square = m.squares / std::max(m.rows, 1.0) + (config.intercept ? 1 : 0);
  const double mean = m.mean_square + (config.intercept ? 1 : 0);
  const double of_batch = mean + (square - mean) / static_cast<double>(config.global_batch);
  if (sgd)
    config.learning_rate =
        (1 - config.momentum) * (of_batch > 0 ? 0.5 / (curvature_bound(loss) * of_batch) : 1.0);
  else
    config.learning_rate = (config.optimizer == "ftrl"      ? 0.2
                            : config.optimizer == "adagrad" ? 0.12
                                                            : 0.01) /
                           size;
  return config;
}

}  // namespace gradmill
