#include "models/linear/config.h"

#include <initializer_list>
#include <string_view>

#include "runtime/expect.h"

namespace gradmill {
namespace {
void one_of(std::string_view key, const std::string& value,
            std::initializer_list<std::string_view> allowed) {
  std::string list;
  for (const auto a : allowed) {
    if (value == a) return;
    list += (list.empty() ? "" : ", ") + std::string(a);
  }
  fail(ErrorKind::usage, "{} is \"{}\"; it must be one of {}", key, value, list);
}
bool has_kink(const LinearConfig& c) { return c.loss == "hinge" || c.loss == "quantile"; }

void in_range(std::string_view key, double value, double low, double high) {
  expect(value >= low && value <= high, ErrorKind::usage, "{} is {}; it must be in [{}, {}]", key,
         value, low, high);
}
}  // namespace

bool is_mini_batch(const std::string& optimizer) {
  return optimizer == "sgd" || optimizer == "adagrad" || optimizer == "adam" ||
         optimizer == "adamw" || optimizer == "ftrl";
}

LinearConfig with_defaults(LinearConfig c) {
  // Newton's method where the objective is smooth; steps where the loss has a kink. With l1 the solver is
  // chosen when device, processes and loss are known.
  if (c.optimizer == "auto")
    c.optimizer = has_kink(c) ? "adagrad" : c.l1 > 0 ? "auto" : "newton_cg";
  if (c.loss_parameter < 0) c.loss_parameter = c.loss == "quantile" ? 0.5 : 1.0;
  return c;
}

void validate(const LinearConfig& c) {
  one_of("loss.kind", c.loss,
         {"auto", "squared", "logistic", "softmax", "hinge", "squared_hinge", "huber", "quantile",
          "poisson"});
  one_of("model.multiclass", c.multiclass, {"auto", "softmax", "one_vs_rest"});
  one_of("optimizer.kind", c.optimizer,
         {"auto", "lbfgs", "owlqn", "newton_cg", "coordinate_descent", "sgd", "adagrad", "adam",
          "adamw", "ftrl"});
  one_of("optimizer.schedule", c.schedule,
         {"constant", "linear", "cosine", "step", "inverse_sqrt"});
  one_of("optimizer.exchange", c.exchange, {"auto", "dense", "touched", "sparse", "sharded"});
  if (c.loss == "huber") in_range("loss.parameter", c.loss_parameter, 1e-9, 1e9);
  if (c.loss == "quantile") in_range("loss.parameter", c.loss_parameter, 1e-6, 1 - 1e-6);
  in_range("optimizer.l2", c.l2, 0, 1e12);
  in_range("optimizer.l1", c.l1, 0, 1e12);
  in_range("optimizer.tolerance", c.tolerance, 0, 1);
  in_range("optimizer.history", c.history, 1, 20);
  in_range("optimizer.momentum", c.momentum, 0, 0.9999);
  in_range("optimizer.beta1", c.beta1, 0, 0.999999);
  in_range("optimizer.beta2", c.beta2, 0, 0.99999999);
  in_range("optimizer.epsilon", c.epsilon, 1e-12, 1);
  if (!(c.ftrl_beta < 0)) in_range("optimizer.ftrl_beta", c.ftrl_beta, 1e-9, 1e9);
  in_range("train.global_batch", static_cast<double>(c.global_batch), 1, 1e9);
  in_range("optimizer.warmup_steps", static_cast<double>(c.warmup_steps), 0, 1e15);
  if (is_mini_batch(c.optimizer) && !(c.learning_rate < 0))
    in_range("optimizer.learning_rate", c.learning_rate, 1e-9, 1e6);
  expect(c.optimizer != "lbfgs" || c.l1 == 0, ErrorKind::usage,
         "optimizer.kind = \"lbfgs\" cannot do l1 = {}: its objective has kinks; use \"owlqn\"",
         c.l1);
  expect(c.optimizer != "newton_cg" || c.l1 == 0, ErrorKind::usage,
         "optimizer.kind = \"newton_cg\" cannot do l1 = {}; use \"owlqn\" or "
         "\"coordinate_descent\"",
         c.l1);
  const bool kinked = c.loss == "hinge" || c.loss == "quantile";
  expect(
      !(kinked && (c.optimizer == "newton_cg" || c.optimizer == "lbfgs" || c.optimizer == "owlqn")),
      ErrorKind::usage,
      "optimizer.kind = \"{}\" needs a smooth loss, and \"{}\" has a kink; use "
      "\"coordinate_descent\" or a mini-batch optimizer such as \"adagrad\"",
      c.optimizer, c.loss);
  expect(c.optimizer != "ftrl" || (c.schedule == "constant" && c.warmup_steps == 0),
         ErrorKind::usage,
         "optimizer.kind = \"ftrl\" has its own rate for each feature; it takes no schedule and no "
         "warm-up");
  expect(c.momentum == 0 || c.optimizer == "sgd", ErrorKind::usage,
         "optimizer.momentum is for \"sgd\", not for \"{}\"", c.optimizer);
}

}  // namespace gradmill
