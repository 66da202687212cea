#include "launch/linear_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "launch/export.h"
#include "launch/linear_model.h"
#include "launch/model_verbs.h"
#include "launch/table_writer.h"

namespace gradmill {
namespace {
std::vector<std::int64_t> largest(const float* coefficients, std::int64_t n, int count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  const auto shown = order.begin() + std::min<std::int64_t>(n, count);
  std::partial_sort(order.begin(), shown, order.end(), [&](std::int64_t a, std::int64_t b) {
    const float x = std::abs(coefficients[a]), y = std::abs(coefficients[b]);
    return x != y ? x > y : a < b;
  });
  order.erase(shown, order.end());
  return order;
}

IdColumn feature_names(const LinearModel& model) {
  IdColumn names;
  names.kind = IdColumn::Kind::string;
  for (std::int64_t f = 0; f < model.inputs().num_features; ++f)
    names.push(std::string_view(model.inputs().feature_name(f)));
  return names;
}

/// One line a feature, the intercept first; a column for each output.
void export_csv(const std::string& path, const LinearModel& model) {
  const std::int64_t n = model.inputs().num_features;
  std::vector<std::string> columns{"feature"};
  for (std::int64_t c = 0; c < model.outputs(); ++c) columns.push_back(model.output_name(c));
  IdColumn first;
  first.kind = IdColumn::Kind::string;
  first.push(std::string_view("(intercept)"));
  const IdColumn names = feature_names(model);
  std::vector<TableColumn> intercepts{&first}, coefficients{&names};
  for (std::int64_t c = 0; c < model.outputs(); ++c) {
    intercepts.emplace_back(std::span<const float>(model.intercepts().data() + c, 1));
    coefficients.emplace_back(
        std::span<const float>(model.coefficients().data() + c * n, static_cast<std::size_t>(n)));
  }
  const auto table = open_table(path, columns);
  table->append(intercepts);
  table->append(coefficients);
  table->finish();
}
}  // namespace

std::string largest_coefficients(const std::string& path, int count, bool json) {
  const Context cpu = Context::cpu(1);
  const LinearModel model = LinearModel::load(cpu, path);
  const std::int64_t n = model.inputs().num_features;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text;
  for (std::int64_t c = 0; c < model.outputs(); ++c) {
    const float* coefficients = model.coefficients().data() + c * n;
    const auto zeros = std::count(coefficients, coefficients + n, 0.0f);
    const float intercept = model.intercepts()[static_cast<std::size_t>(c)];
    nlohmann::ordered_json one{{"output", model.output_name(c)},
                               {"features", n},
                               {"non_zero", n - zeros},
                               {"intercept", intercept}};
    text += fmt::format("{}{}: {} features, {} with a coefficient\n  {:>12.6g}  (intercept)\n",
                        c ? "\n" : "", model.output_name(c), n, n - zeros, intercept);
    for (const std::int64_t f : largest(coefficients, n, count)) {
      if (coefficients[f] == 0) break;
      const std::string name = model.inputs().feature_name(f);
      one["coefficients"].push_back({{"feature", name}, {"value", coefficients[f]}});
      text += fmt::format("  {:>12.6g}  {}\n", coefficients[f], name);
    }
    all.push_back(std::move(one));
  }
  return json ? all.dump(2) + "\n" : text;
}

int export_linear(const Options& options, World&, Log& log) {
  const Context cpu = Context::cpu(1);
  const LinearModel model = LinearModel::load(cpu, options.target);
  const std::int64_t n = model.inputs().num_features, c = model.outputs();
  if (options.output.ends_with(".csv")) {
    export_csv(options.output, model);
  } else {
    const IdColumn features = feature_names(model);
    IdColumn outputs;
    outputs.kind = IdColumn::Kind::string;
    for (std::int64_t o = 0; o < c; ++o) outputs.push(std::string_view(model.output_name(o)));
    ModelExport out;
    out.tensors = {
        tensor_source("coefficients",
                      MatrixView<const float>{model.coefficients().data(), c, n, n, {}}),
        tensor_source("intercepts", VectorView<const float>{model.intercepts().data(), c, {}})};
    out.names = {{"feature_names", &features}, {"output_names", &outputs}};
    out.metadata = {{"kind", model.info().kind}, {"loss", model.config().linear.loss}};
    export_model(options.output, out);
  }
  log.info(fmt::format("{}: {} x {} coefficients", options.output, c, n));
  return 0;
}

}  // namespace gradmill
