#include "launch/mf_warm_start.h"

#include <algorithm>
#include <array>

#include "launch/mf_model.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
/// One side (users or items) of the old model, seen from the new run's rows.
struct Source {
  const Vocabulary& ids;                // of the new run
  std::span<const std::int32_t> order;  // new row -> row of ids, or empty
  const Vocabulary& old_ids;
  std::function<std::int32_t(std::int32_t)> old_row;  // row of old_ids -> row of the old tables
  MatrixView<const float> factors;
  VectorView<const float> biases;

  /// Row of the old tables, or -1.
  std::int32_t find(std::int64_t row) const {
    const std::int32_t id =
        order.empty() ? static_cast<std::int32_t>(row) : order[static_cast<std::size_t>(row)];
    return old_row(old_ids.find(ids.text(id)));
  }
};

/// Overwrites the first columns of a tensor's rows: factors, or the bias at the front of its row.
std::int64_t take_over(const Context& ctx, const StateTensor& tensor, const Source& source) {
  const bool factors = tensor.name.ends_with("_factors");
  if (!factors && source.biases.size == 0) return 0;
  std::int64_t taken = 0;
  for (std::int64_t r = 0; r < tensor.rows; ++r) {
    const std::int32_t old = source.find(tensor.first_row + r);
    if (old < 0) continue;
    const float* from = factors ? source.factors.row(old) : source.biases.data + old;
    const std::int64_t count = factors ? source.factors.cols : 1;
    copy_bytes(ctx, tensor.values<float>().row(r), tensor.device, from, Device{},
               static_cast<std::size_t>(count) * sizeof(float));
    taken += factors;
  }
  ctx.synchronize();
  return taken;
}
}  // namespace

WarmStart warm_start(const Context& ctx, const Context& host, Communicator& comm, MfSolver& solver,
                     const Vocabulary& users, const Vocabulary& items, const std::string& path) {
  const MfModel old = MfModel::load(host, host, path);
  const FactorsView view = old.view();
  const Source from_users{users,       solver.user_order(),
                          old.users(), [&](std::int32_t id) { return old.user_row(id); },
                          view.users,  view.user_biases};
  const Source from_items{items,       solver.item_order(),
                          old.items(), [&](std::int32_t id) { return old.item_row(id); },
                          view.items,  view.item_biases};
  std::array<std::int64_t, 2> taken{};
  for (const StateTensor& tensor : solver.state()) {
    const bool of_users = tensor.name.starts_with("user");
    if (tensor.name.ends_with("_factors"))
      expect(tensor.cols == view.items.cols, ErrorKind::checkpoint,
             "{}: has {} factors, this run {}", path, view.items.cols, tensor.cols);
    taken[of_users ? 0 : 1] += take_over(ctx, tensor, of_users ? from_users : from_items);
  }
  solver.restored();
  comm.all_reduce_sum(host, VectorView<std::int64_t>{taken.data(), 2, {}});
  return {taken[0], taken[1]};
}

}  // namespace gradmill
