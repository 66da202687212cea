// export: a factorization's factors for other programs, rows in the order of the ids.
#include <numeric>

#include "launch/export.h"
#include "launch/model_session.h"
#include "launch/model_verbs.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
/// Factors or biases of all ids, row r being id r, whatever order the tables have.
std::vector<float> by_id(MatrixView<const float> table,
                         const std::function<std::int32_t(std::int32_t)>& row_of) {
  std::vector<float> rows(static_cast<std::size_t>(table.rows * table.cols));
  for (std::int64_t id = 0; id < table.rows; ++id)
    std::copy_n(table.row(row_of(static_cast<std::int32_t>(id))), table.cols,
                rows.begin() + id * table.cols);
  return rows;
}
}  // namespace

int export_mf(const Options& options, World& world, Log& log) {
  Options on_cpu = options;
  on_cpu.config.train.device = "cpu";
  const ModelSession session(on_cpu, world);
  const MfModel& model = session.model;
  const FactorsView view = model.view();
  const auto user_row = [&](std::int32_t id) { return model.user_row(id); };
  const auto item_row = [&](std::int32_t id) { return model.item_row(id); };
  const std::int64_t k = view.items.cols;
  const auto users = by_id(view.users, user_row), items = by_id(view.items, item_row);
  ModelExport out;
  out.names = {{"user_ids", &model.users().ids()}, {"item_ids", &model.items().ids()}};
  out.tensors.push_back(tensor_source(
      "user_factors", MatrixView<const float>{users.data(), view.users.rows, k, k, {}}));
  out.tensors.push_back(tensor_source(
      "item_factors", MatrixView<const float>{items.data(), view.items.rows, k, k, {}}));
  auto column = [](VectorView<const float> values) {
    return MatrixView<const float>{values.data, values.size, 1, 1, {}};
  };
  const auto user_biases = by_id(column(view.user_biases), user_row),
             item_biases = by_id(column(view.item_biases), item_row);
  auto add_biases = [&](const char* name, const std::vector<float>& values) {
    if (!values.empty())
      out.tensors.push_back(tensor_source(
          name,
          VectorView<const float>{values.data(), static_cast<std::int64_t>(values.size()), {}}));
  };
  add_biases("user_biases", user_biases);
  add_biases("item_biases", item_biases);
  out.tensors.push_back(tensor_source("mean", VectorView<const float>{&view.mean, 1, {}}));
  out.metadata = {{"algorithm", model.config().algorithm}, {"num_factors", std::to_string(k)}};
  export_model(options.output, out);
  log.info(fmt::format("{}: {} users, {} items, {} factors", options.output, view.users.rows,
                       view.items.rows, k));
  return 0;
}

}  // namespace gradmill
