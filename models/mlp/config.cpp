#include "models/mlp/config.h"

#include <charconv>
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
void in_range(std::string_view key, double value, double low, double high) {
  expect(value >= low && value <= high, ErrorKind::usage, "{} is {}; it must be in [{}, {}]", key,
         value, low, high);
}
}  // namespace

std::vector<std::int64_t> hidden_widths(const MlpConfig& config) {
  std::vector<std::int64_t> widths;
  std::string_view left = config.hidden;
  while (!left.empty()) {
    const std::size_t comma = left.find(',');
    std::string_view part = left.substr(0, comma);
    left = comma == std::string_view::npos ? std::string_view{} : left.substr(comma + 1);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    std::int64_t width = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), width);
    expect(error == std::errc{} && end == part.data() + part.size() && width > 0 && width <= 65536,
           ErrorKind::usage,
           "model.hidden is \"{}\"; it must list widths from 1 to 65536, such as \"256,128\"",
           config.hidden);
    widths.push_back(width);
  }
  expect(widths.size() < 256, ErrorKind::usage, "model.hidden lists {} layers; 255 are allowed",
         widths.size());
  return widths;
}

MlpConfig with_defaults(MlpConfig c) {
  if (c.loss_parameter < 0) c.loss_parameter = c.loss == "quantile" ? 0.5 : 1.0;
  if (c.learning_rate < 0) {
    if (c.optimizer == "sgd") c.learning_rate = 0.05;
    if (c.optimizer == "adagrad") c.learning_rate = 0.05;
    if (c.optimizer == "adam" || c.optimizer == "adamw" || c.optimizer == "lamb")
      c.learning_rate = 1e-3;
  }
  if (c.embedding_optimizer == "auto")
    c.embedding_optimizer = c.optimizer == "adagrad" ? "rowwise_adagrad" : "same";
  return c;
}

void validate(const MlpConfig& c) {
  hidden_widths(c);
  one_of("model.activation", c.activation, {"relu", "gelu", "silu", "tanh", "identity"});
  in_range("model.dropout", c.dropout, 0, 0.99);
  one_of("model.norm", c.norm, {"none", "layer", "batch"});
  one_of("model.interaction", c.interaction, {"none", "dot"});
  in_range("model.embedding_dim", c.embedding_dim, 0, 4096);
  one_of("model.bag", c.bag, {"sum", "mean"});
  one_of("model.sparse_rows", c.sparse_rows, {"auto", "dense", "embedding"});
  one_of("model.label_scale", c.label_scale, {"standard", "none"});
  one_of("loss.kind", c.loss,
         {"auto", "squared", "logistic", "softmax", "huber", "quantile", "poisson"});
  if (c.loss == "huber") in_range("loss.parameter", c.loss_parameter, 1e-9, 1e9);
  if (c.loss == "quantile") in_range("loss.parameter", c.loss_parameter, 1e-6, 1 - 1e-6);
  one_of("optimizer.kind", c.optimizer, {"sgd", "adagrad", "adam", "adamw", "lamb"});
  expect(c.optimizer != "lamb" || c.l1 == 0, ErrorKind::usage,
         "optimizer.l1 is {}; \"lamb\" has no l1", c.l1);
  one_of("optimizer.embedding", c.embedding_optimizer, {"auto", "rowwise_adagrad", "same"});
  in_range("optimizer.learning_rate", c.learning_rate, 1e-9, 1e6);
  in_range("optimizer.l1", c.l1, 0, 1e12);
  in_range("optimizer.l2", c.l2, 0, 1e12);
  in_range("optimizer.momentum", c.momentum, 0, 0.9999);
  expect(!c.nesterov || c.optimizer == "sgd", ErrorKind::usage,
         "optimizer.nesterov is for \"sgd\", not for \"{}\"", c.optimizer);
  in_range("optimizer.beta1", c.beta1, 0, 0.999999);
  in_range("optimizer.beta2", c.beta2, 0, 0.99999999);
  in_range("optimizer.epsilon", c.epsilon, 1e-12, 1);
  in_range("train.global_batch", static_cast<double>(c.global_batch), 1, 1e9);
  in_range("train.accumulate", static_cast<double>(c.accumulate), 1, 1e6);
  one_of("optimizer.schedule", c.schedule,
         {"constant", "linear", "cosine", "step", "inverse_sqrt", "one_cycle", "plateau"});
  in_range("optimizer.plateau_factor", c.plateau_factor, 1e-6, 1);
  in_range("optimizer.plateau_patience", static_cast<double>(c.plateau_patience), 1, 1e9);
  in_range("train.epochs", static_cast<double>(c.planned_epochs), 0, 1e15);
  in_range("optimizer.warmup_steps", static_cast<double>(c.warmup_steps), 0, 1e15);
  in_range("optimizer.clip_norm", c.clip_norm, 0, 1e30);
  in_range("optimizer.average_decay", c.average_decay, 0, 0.9999999);
  one_of("train.precision", c.precision, {"fp32", "tf32", "bf16", "fp16"});
  expect(c.norm != "batch" || c.accumulate == 1, ErrorKind::usage,
         "train.accumulate is {}; batch norm is over whole batches: set it to 1, or model.norm to "
         "\"layer\"",
         c.accumulate);
  one_of("train.on_nonfinite", c.on_nonfinite, {"abort", "skip"});
}

}  // namespace gradmill
