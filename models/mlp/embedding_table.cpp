#include "models/mlp/embedding_table.h"

#include <algorithm>
#include <numeric>

#include "kernels/embedding_average/embedding_average.h"
#include "runtime/expect.h"
#include "runtime/random.h"

namespace gradmill {
namespace {
/// The host's value of a number on the device.
template <class T>
T fetch(const Context& ctx, Buffer<T>& buffer, std::int64_t index = 0) {
  T value{};
  copy_bytes(ctx, &value, Device{}, buffer.view().data + index, ctx.device(), sizeof value);
  ctx.synchronize();
  return value;
}
template <class T>
void grow(const Context& ctx, Buffer<T>& buffer, std::int64_t size) {
  if (buffer.size() < size) buffer = Buffer<T>(ctx, size + size / 4);
}
}  // namespace

EmbeddingTable::EmbeddingTable(const Context& ctx, Communicator& comm, Options options,
                               std::uint64_t seed)
    : ctx_(ctx),
      comm_(comm),
      options_(std::move(options)),
      slot_columns_(options_.row_wise
                        ? 1
                        : options_.dim * optimizer_slots(options_.optimizer.kind,
                                                         options_.optimizer.momentum)),
      table_(ctx, options_.rows * options_.dim),
      slots_(ctx, options_.rows * slot_columns_),
      seen_(ctx, options_.row_wise ? 0 : options_.rows),
      count_(ctx, 1) {
  std::vector<float> values(static_cast<std::size_t>(table_.size()), 0.0f);
  if (options_.limit > 0)
    for (std::size_t e = 0; e < values.size(); ++e)
      values[e] =
          options_.limit *
          (2 * to_unit(random_bits(seed, RandomStream::init_weights, e, options_.draw).x[0]) - 1);
  table_.upload({values.data(), values.size()});
  slots_.zero();
  seen_.zero();
  if (options_.average_decay > 0) {
    averages_ = Buffer<float>(ctx, table_.size());
    averaged_at_ = Buffer<std::int32_t>(ctx, options_.rows);
    averaged_at_.zero();
    restart_averages();
  }
  ctx.synchronize();
}

void EmbeddingTable::restart_averages() {
  if (!averages_.empty()) copy<float>(ctx_, averages_.view(), table_.view());
}

MatrixView<float> EmbeddingTable::averages(VectorView<const double> state) {
  if (averages_.empty()) return values();
  EmbeddingUpdateArgs all;
  all.state = state;
  average(all);
  return averages_.matrix(options_.rows, options_.dim, options_.dim);
}

/// Of the rows that a step is about to change, or of all.
void EmbeddingTable::average(const EmbeddingUpdateArgs& step) {
  EmbeddingAverageArgs args;
  args.ids = step.ids;
  args.count = step.count;
  args.state = step.state;
  args.decay = options_.average_decay;
  args.table = values();
  args.averages = averages_.matrix(options_.rows, options_.dim, options_.dim);
  args.at = averaged_at_.view();
  embedding_average(ctx_, args);
}

void EmbeddingTable::reserve(std::int64_t max_entries) {
  max_entries = std::max<std::int64_t>(max_entries, 1);  // a rank without rows has sums, too
  grow(ctx_, ids_, max_entries);
  grow(ctx_, order_, max_entries);
  grow(ctx_, bag_of_, max_entries);
  grow(ctx_, starts_, max_entries + 1);
  grow(ctx_, sums_, max_entries * options_.dim);
  if (counting_.size() > max_entries) return;
  grow(ctx_, counting_, max_entries + 1);
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(counting_.size()));
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::vector<std::int64_t> starts(numbers.begin(), numbers.end());
  counting_.upload({numbers.data(), numbers.size()});
  counting_starts_ = Buffer<std::int64_t>::from_host(ctx_, {starts.data(), starts.size()});
}

void EmbeddingTable::sort(const EmbeddingBags& bags) {
  reserve(bags.ids.size);
  embedding_sort(ctx_, {bags, options_.rows, ids_.view(), order_.view(), bag_of_.view(),
                        starts_.view(), count_.view()});
}

EmbeddingUpdateArgs EmbeddingTable::sorted_args(const EmbeddingBags& bags,
                                                MatrixView<const float> gradient) {
  EmbeddingUpdateArgs args;
  args.bags = bags;
  args.ids = ids_.view();
  args.order = order_.view();
  args.bag_of = bag_of_.view();
  args.starts = starts_.view();
  args.count = count_.view();
  args.gradient = gradient;
  return args;
}

void EmbeddingTable::step_with(EmbeddingUpdateArgs args, const OptimizerStep& optimizer,
                               VectorView<const double> state) {
  args.row_wise = options_.row_wise;
  args.optimizer = optimizer;
  args.state = state;
  args.table = values();
  if (slot_columns_ > 0) args.slots = slots_.matrix(options_.rows, slot_columns_, slot_columns_);
  args.seen = seen_.view();
  if (!averages_.empty()) average(args);
  embedding_update(ctx_, args);
}

void EmbeddingTable::update(const EmbeddingBags& bags, MatrixView<const float> gradient,
                            const OptimizerStep& optimizer, VectorView<const double> state) {
  sort(bags);
  step_with(sorted_args(bags, gradient), optimizer, state);
}

void EmbeddingTable::add_up(const EmbeddingBags& bags, MatrixView<const float> gradient) {
  sort(bags);
  summed_ = bags.ids.size;
  EmbeddingUpdateArgs args = sorted_args(bags, gradient);
  args.sums = sums_.matrix(summed_, options_.dim, options_.dim);
  embedding_update(ctx_, args);
}

void EmbeddingTable::sum(const EmbeddingBags& bags, MatrixView<const float> gradient) {
  add_up(bags, gradient);
  const int ranks = comm_.world_size();
  if (ranks == 1) return;
  const std::int64_t distinct = fetch(ctx_, count_);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(ranks), 1), values;
  const std::vector<std::int64_t> one_each = rows;
  comm_.all_gather(ctx_, VectorView<const std::int64_t>{&distinct, 1, {}}, one_each,
                   VectorView<std::int64_t>{rows.data(), ranks, {}});
  for (const std::int64_t r : rows) values.push_back(r * options_.dim);
  const std::int64_t all = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  bytes_exchanged_ +=
      (all - distinct) * (options_.dim + 1) * static_cast<std::int64_t>(sizeof(float));
  grow(ctx_, all_ids_, all);
  grow(ctx_, all_sums_, all * options_.dim);
  comm_.all_gather(ctx_, ids_.view().slice(0, distinct), rows, all_ids_.view().slice(0, all));
  comm_.all_gather(ctx_, sums_.view().slice(0, distinct * options_.dim), values,
                   all_sums_.view().slice(0, all * options_.dim));
  EmbeddingBags gathered;
  gathered.samples = all;
  gathered.fields = 1;
  gathered.ids = all_ids_.view().slice(0, all);
  add_up(gathered, all_sums_.matrix(all, options_.dim, options_.dim));
}

void EmbeddingTable::apply(const OptimizerStep& optimizer, VectorView<const double> state) {
  EmbeddingUpdateArgs args;
  args.bags.samples = summed_;
  args.bags.fields = 1;
  args.bags.ids = ids_.view().slice(0, summed_);
  args.ids = args.bags.ids;
  args.order = args.bag_of = counting_.view();
  args.starts = counting_starts_.view();
  args.count = count_.view();
  args.gradient = sums_.matrix(summed_, options_.dim, options_.dim);
  step_with(args, optimizer, state);
}

void EmbeddingTable::add_model(std::vector<StateTensor>& tensors, VectorView<const double> state) {
  tensors.push_back(StateTensor::whole(options_.name, averages(state)));
}

void EmbeddingTable::add_state(std::vector<StateTensor>& tensors) {
  tensors.push_back(StateTensor::whole(options_.name, values()));
  if (!averages_.empty()) {
    tensors.push_back(StateTensor::whole(
        "averages." + options_.name, averages_.matrix(options_.rows, options_.dim, options_.dim)));
    tensors.push_back(StateTensor::whole("averages." + options_.name + ".at",
                                         averaged_at_.matrix(options_.rows, 1, 1)));
  }
  if (slot_columns_ > 0)
    tensors.push_back(StateTensor::whole(
        "optimizer." + options_.name, slots_.matrix(options_.rows, slot_columns_, slot_columns_)));
  if (!options_.row_wise)
    tensors.push_back(StateTensor::whole("optimizer." + options_.name + ".seen",
                                         seen_.matrix(options_.rows, 1, 1)));
}

}  // namespace gradmill
