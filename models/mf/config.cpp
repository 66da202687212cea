#include "models/mf/config.h"

#include <cmath>
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
  fail(ErrorKind::usage, "model.{} is \"{}\"; it must be one of {}", key, value, list);
}
void in_range(std::string_view key, double value, double low, double high) {
  expect(value >= low && value <= high, ErrorKind::usage, "model.{} is {}; it must be in [{}, {}]",
         key, value, low, high);
}
}  // namespace

MfConfig with_defaults(MfConfig c) {
  const bool sgd = c.algorithm == "sgd";
  if (c.regularization < 0) c.regularization = c.algorithm == "ials" ? 0.01 : 0.1;
  if (c.bias_regularization < 0)
    c.bias_regularization = sgd ? c.regularization / 2 : c.regularization;
  if (c.init_stddev < 0) c.init_stddev = sgd ? 0.4 : 0.1;
  return c;
}

bool solves_by_cg(const MfConfig& c) {
  return c.solver == "cg" || (c.algorithm == "ials" && c.solver == "auto");
}

void validate(const MfConfig& c) {
  one_of("algorithm", c.algorithm, {"als", "sgd", "ials"});
  one_of("solver", c.solver, {"auto", "cholesky", "cg"});
  one_of("exchange", c.exchange, {"auto", "gather", "reduce"});
  in_range("num_factors", c.num_factors, 1, 256);
  in_range("regularization", c.regularization, 0, 1e9);
  in_range("ridge_exponent", c.ridge_exponent, 0, 2);
  in_range("alpha", c.alpha, 1e-9, 1e9);
  in_range("unobserved_weight", c.unobserved_weight, 1e-9, 1e9);
  in_range("cg_steps", c.cg_steps, 1, 1000);
  in_range("learning_rate", c.learning_rate, 1e-9, 100);
  in_range("init_stddev", c.init_stddev, 0, 100);
  expect(!(c.algorithm != "sgd" && c.exchange == "reduce" && c.ridge_exponent != 0 &&
           c.ridge_exponent != 1),
         ErrorKind::usage, "model.exchange = \"reduce\" needs model.ridge_exponent 0 or 1, not {}",
         c.ridge_exponent);
  expect(
      !(c.algorithm != "sgd" && c.exchange == "reduce" && solves_by_cg(c)), ErrorKind::usage,
      "model.exchange = \"reduce\" sums normal equations, so it needs model.solver = \"cholesky\"");
}

}  // namespace gradmill
