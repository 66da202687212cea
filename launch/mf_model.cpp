#include "launch/mf_model.h"

#include <numeric>

#include "launch/model_state.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
template <class T>
VectorView<const T> view_of(const std::vector<T>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size()), Device{}};
}

/// Who rated what, as counts a user and items in the users' order; rows of all ranks follow one another.
/// The items are written as the solver makes them: they never are in memory at once.
void add_seen(const Context& host, Communicator& comm, const MfSolver& solver,
              const std::vector<std::int64_t>& counts, CheckpointWriter& writer) {
  const auto rank = static_cast<std::size_t>(comm.rank());
  const auto world = static_cast<std::size_t>(comm.world_size());
  const std::int64_t mine = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  std::vector<std::int64_t> sizes(world), ones(world, 1);
  comm.all_gather(host, VectorView<const std::int64_t>{&mine, 1, {}}, ones,
                  VectorView<std::int64_t>{sizes.data(), static_cast<std::int64_t>(world), {}});
  std::vector<std::int64_t> first(world + 1);
  std::partial_sum(sizes.begin(), sizes.end(), first.begin() + 1);

  const RowBoundaries& users = solver.user_boundaries();
  writer.add("seen_counts", users.back(), users[rank], view_of(counts));
  TensorSource items =
      tensor_source("seen_items", VectorView<const std::int32_t>{nullptr, mine, {}});
  items.produce = [&solver](const ByteSink& sink) {
    solver.visit_seen_items(
        [&](std::span<const std::int32_t> piece) { sink(piece.data(), piece.size_bytes()); });
  };
  writer.add_produced(std::move(items), first.back(), first[rank]);
}

std::vector<std::int32_t> read_order(const Checkpoint& checkpoint, const std::string& name) {
  std::vector<std::int32_t> order;
  if (!checkpoint.has(name)) return order;
  order.resize(static_cast<std::size_t>(checkpoint.tensor(name).shape[0]));
  const auto rows = static_cast<std::int64_t>(order.size());
  checkpoint.read_rows(name, 0, rows, VectorView<std::int32_t>{order.data(), rows, {}});
  std::vector<bool> met(order.size());
  for (const std::int32_t row : order) {
    expect(row >= 0 && row < rows && !met[static_cast<std::size_t>(row)], ErrorKind::checkpoint,
           "{}: {} is not a permutation", checkpoint.path(), name);
    met[static_cast<std::size_t>(row)] = true;
  }
  return order;
}

std::vector<std::int32_t> inverse(const std::vector<std::int32_t>& order) {
  std::vector<std::int32_t> place(order.size());
  for (std::size_t row = 0; row < order.size(); ++row)
    place[static_cast<std::size_t>(order[row])] = static_cast<std::int32_t>(row);
  return place;
}

FactorTable read_factors(const Context& ctx, const Checkpoint& checkpoint, const std::string& name,
                         std::int64_t rows, int num_factors) {
  const auto& shape = checkpoint.tensor(name).shape;
  expect(shape.size() == 2 && shape[0] == rows && shape[1] == num_factors, ErrorKind::checkpoint,
         "{}: {} is [{}], expected [{}, {}]", checkpoint.path(), name, fmt::join(shape, ", "), rows,
         num_factors);
  FactorTable table(ctx, rows, num_factors);
  std::vector<float> host(static_cast<std::size_t>(rows * table.stride()));
  checkpoint.read_rows(name, 0, rows,
                       MatrixView<float>{host.data(), rows, num_factors, table.stride(), Device{}});
  copy_bytes(ctx, table.view().data, ctx.device(), host.data(), Device{},
             host.size() * sizeof(float));
  ctx.synchronize();
  return table;
}

/// Biases stand alone (als) or first in each row of the optimizer's state (sgd).
Buffer<float> read_biases(const Context& ctx, const Checkpoint& checkpoint, const std::string& side,
                          std::int64_t rows) {
  std::vector<float> biases(static_cast<std::size_t>(rows));
  if (checkpoint.has(side + "_biases")) {
    checkpoint.read_rows(side + "_biases", 0, rows,
                         MatrixView<float>{biases.data(), rows, 1, 1, Device{}});
  } else if (checkpoint.has(side + "_state")) {
    const std::int64_t width = checkpoint.tensor(side + "_state").shape.back();
    std::vector<float> state(static_cast<std::size_t>(rows * width));
    checkpoint.read_rows(side + "_state", 0, rows,
                         MatrixView<float>{state.data(), rows, width, width, Device{}});
    for (std::size_t row = 0; row < biases.size(); ++row)
      biases[row] = state[row * static_cast<std::size_t>(width)];
  } else {
    return {};
  }
  auto buffer = Buffer<float>::from_host(ctx, {biases.data(), biases.size()});
  ctx.synchronize();
  return buffer;
}

CsrRatings read_seen(const Context& host, const Checkpoint& checkpoint, std::int64_t users,
                     std::int64_t items) {
  if (!checkpoint.has("seen_items")) return {};
  std::vector<std::int64_t> counts(static_cast<std::size_t>(users));
  checkpoint.read_rows("seen_counts", 0, users, VectorView<std::int64_t>{counts.data(), users, {}});
  const std::int64_t entries = checkpoint.tensor("seen_items").shape[0];
  std::vector<std::int32_t> cols(static_cast<std::size_t>(entries)), rows;
  checkpoint.read_rows("seen_items", 0, entries,
                       VectorView<std::int32_t>{cols.data(), entries, {}});
  std::int64_t sum = 0;
  for (std::int64_t user = 0; user < users; ++user) {
    const std::int64_t count = counts[static_cast<std::size_t>(user)];
    expect(count >= 0 && count <= entries - sum, ErrorKind::checkpoint,
           "{}: seen_counts do not add up", checkpoint.path());
    rows.insert(rows.end(), static_cast<std::size_t>(count), static_cast<std::int32_t>(user));
    sum += count;
  }
  expect(sum == entries, ErrorKind::checkpoint,
         "{}: seen_counts add up to {}, but seen_items has {}", checkpoint.path(), sum, entries);
  for (const std::int32_t item : cols)
    expect(item >= 0 && item < items, ErrorKind::checkpoint, "{}: seen_items has item {}",
           checkpoint.path(), item);
  const std::vector<float> ones(cols.size(), 1.0f);
  return CsrRatings::build(host, 0, users, items, rows, cols, ones, {});
}
}  // namespace

void write_mf_model(const Context& ctx, const Context& host, Communicator& comm,
                    const std::string& parent, const std::string& name, const CheckpointInfo& info,
                    MfSolver& solver, const MfModelParts& parts) {
  CheckpointWriter writer(host, comm, parent, name);
  const HostState state(ctx, solver.state());
  state.add_to(writer);
  std::vector<std::int64_t> seen_counts;
  if (parts.with_seen) {
    seen_counts = solver.seen_counts();
    add_seen(host, comm, solver, seen_counts, writer);
  }
  const std::vector<double> constants{parts.mean, parts.low, parts.high};
  const std::vector<std::int32_t> user_order(solver.user_order().begin(),
                                             solver.user_order().end());
  const std::vector<std::int32_t> item_order(solver.item_order().begin(),
                                             solver.item_order().end());
  if (comm.rank() == 0) {
    writer.add("constants", 3, 0, view_of(constants));
    if (!user_order.empty()) writer.add("user_order", parts.users.size(), 0, view_of(user_order));
    if (!item_order.empty()) writer.add("item_order", parts.items.size(), 0, view_of(item_order));
    writer.add_file("users.vocab", parts.users.serialize());
    writer.add_file("items.vocab", parts.items.serialize());
  }
  writer.commit(info);
}

MfModel MfModel::load(const Context& ctx, const Context& host, const std::string& given) {
  const Checkpoint checkpoint = Checkpoint::open(model_folder(given));
  MfModel model;
  model.info_ = checkpoint.info();
  Config config;
  load_config_text(config, model.info_.config, checkpoint.path() + "/manifest.json");
  model.config_ = config.mf;
  model.users_ = Vocabulary::deserialize(checkpoint.read_file("users.vocab"));
  model.items_ = Vocabulary::deserialize(checkpoint.read_file("items.vocab"));
  const std::int64_t users = model.users_.size(), items = model.items_.size();
  model.user_table_ = read_factors(ctx, checkpoint, "user_factors", users, config.mf.num_factors);
  model.item_table_ = read_factors(ctx, checkpoint, "item_factors", items, config.mf.num_factors);
  model.user_biases_ = read_biases(ctx, checkpoint, "user", users);
  model.item_biases_ = read_biases(ctx, checkpoint, "item", items);
  model.user_order_ = read_order(checkpoint, "user_order");
  model.item_order_ = read_order(checkpoint, "item_order");
  model.user_rows_ = inverse(model.user_order_);
  model.item_rows_ = inverse(model.item_order_);
  std::vector<double> constants(3);
  checkpoint.read_rows("constants", 0, 3, VectorView<double>{constants.data(), 3, {}});
  model.mean_ = static_cast<float>(constants[0]);
  model.low_ = static_cast<float>(constants[1]);
  model.high_ = static_cast<float>(constants[2]);
  model.seen_ = read_seen(host, checkpoint, users, items);
  return model;
}

FactorsView MfModel::view() const {
  return {0,    user_table_.view(), item_table_.view(), user_biases_.view(), item_biases_.view(),
          mean_};
}

}  // namespace gradmill
