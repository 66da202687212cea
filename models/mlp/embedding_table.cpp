#include "models/mlp/embedding_table.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/optimizer_step/optimizer_step.h"
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
      count_(ctx, 1),
      flags_(ctx, 2),
      norm_(ctx, 1) {
  std::vector<float> values(static_cast<std::size_t>(table_.size()), 0.0f);
  if (options_.limit > 0)
    for (std::size_t e = 0; e < values.size(); ++e)
      values[e] =
          options_.limit *
          (2 * to_unit(random_bits(seed, RandomStream::init_weights, e, options_.draw).x[0]) - 1);
  table_.upload({values.data(), values.size()});
  slots_.zero();
  seen_.zero();
  ctx.synchronize();
}

void EmbeddingTable::sort(const EmbeddingBags& bags) {
  const std::int64_t entries = bags.ids.size;
  grow(ctx_, ids_, entries);
  grow(ctx_, order_, entries);
  grow(ctx_, bag_of_, entries);
  grow(ctx_, starts_, entries + 1);
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
                               std::int32_t step) {
  args.row_wise = options_.row_wise;
  args.optimizer = optimizer;
  args.step = step;
  args.table = values();
  if (slot_columns_ > 0) args.slots = slots_.matrix(options_.rows, slot_columns_, slot_columns_);
  args.seen = seen_.view();
  embedding_update(ctx_, args);
}

void EmbeddingTable::update(const EmbeddingBags& bags, MatrixView<const float> gradient,
                            const OptimizerStep& optimizer, std::int32_t step) {
  sort(bags);
  step_with(sorted_args(bags, gradient), optimizer, step);
}

void EmbeddingTable::grow_counting(std::int64_t size) {
  if (counting_.size() >= size) return;
  grow(ctx_, counting_, size);
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(counting_.size()));
  std::iota(numbers.begin(), numbers.end(), 0);
  const std::vector<std::int64_t> starts(numbers.begin(), numbers.end());
  counting_.upload({numbers.data(), numbers.size()});
  counting_starts_ = Buffer<std::int64_t>::from_host(ctx_, {starts.data(), starts.size()});
}

/// Sums are the step of a zeroed table that has the rows of the batch only, with plain SGD at rate -1.
void EmbeddingTable::add_up(const EmbeddingBags& bags, MatrixView<const float> gradient) {
  sort(bags);
  distinct_ = fetch(ctx_, count_);
  const std::int64_t dim = options_.dim;
  grow(ctx_, sums_, distinct_ * dim);
  grow_counting(distinct_ + 1);
  if (distinct_ == 0) return;
  ctx_.zero(sums_.view().data, static_cast<std::size_t>(distinct_ * dim) * sizeof(float));
  EmbeddingUpdateArgs args = sorted_args(bags, gradient);
  args.ids = counting_.view();
  args.row_wise = false;
  args.optimizer.kind = OptimizerKind::sgd;
  args.optimizer.rate = -1;
  args.table = sums_.matrix(distinct_, dim, dim);
  embedding_update(ctx_, args);
}

void EmbeddingTable::sum(const EmbeddingBags& bags, MatrixView<const float> gradient) {
  add_up(bags, gradient);
  const int ranks = comm_.world_size();
  if (ranks == 1) return;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(ranks), 1), values;
  const std::vector<std::int64_t> one_each = rows;
  comm_.all_gather(ctx_, VectorView<const std::int64_t>{&distinct_, 1, {}}, one_each,
                   VectorView<std::int64_t>{rows.data(), ranks, {}});
  for (const std::int64_t r : rows) values.push_back(r * options_.dim);
  const std::int64_t all = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  bytes_exchanged_ +=
      (all - distinct_) * (options_.dim + 1) * static_cast<std::int64_t>(sizeof(float));
  grow(ctx_, all_ids_, all);
  grow(ctx_, all_sums_, all * options_.dim);
  comm_.all_gather(ctx_, ids_.view().slice(0, distinct_), rows, all_ids_.view().slice(0, all));
  comm_.all_gather(ctx_, sums_.view().slice(0, distinct_ * options_.dim), values,
                   all_sums_.view().slice(0, all * options_.dim));
  EmbeddingBags gathered;
  gathered.samples = all;
  gathered.fields = 1;
  gathered.ids = all_ids_.view().slice(0, all);
  add_up(gathered, all_sums_.matrix(all, options_.dim, options_.dim));
}

double EmbeddingTable::norm() {
  clip_scale(ctx_, {sums_.view().slice(0, distinct_ * options_.dim), 0, flags_.view().slice(0, 1),
                    flags_.view().slice(1, 1), norm_.view()});
  return fetch(ctx_, norm_);
}

void EmbeddingTable::apply(const OptimizerStep& optimizer, std::int32_t step, float scale) {
  if (distinct_ == 0) return;
  EmbeddingUpdateArgs args;
  args.bags.samples = distinct_;
  args.bags.fields = 1;
  args.bags.ids = ids_.view().slice(0, distinct_);
  if (scale != 1) {
    grow(ctx_, scales_, distinct_);
    const std::vector<float> scales(static_cast<std::size_t>(distinct_), scale);
    scales_.upload({scales.data(), scales.size()});
    args.bags.weights = scales_.view().slice(0, distinct_);
  }
  args.ids = args.bags.ids;
  args.order = args.bag_of = counting_.view();
  args.starts = counting_starts_.view();
  args.count = count_.view();
  args.gradient = sums_.matrix(distinct_, options_.dim, options_.dim);
  step_with(args, optimizer, step);
}

void EmbeddingTable::add_model(std::vector<StateTensor>& tensors) {
  tensors.push_back(StateTensor::whole(options_.name, values()));
}

void EmbeddingTable::add_state(std::vector<StateTensor>& tensors) {
  add_model(tensors);
  if (slot_columns_ > 0)
    tensors.push_back(StateTensor::whole(
        "optimizer." + options_.name, slots_.matrix(options_.rows, slot_columns_, slot_columns_)));
  if (!options_.row_wise)
    tensors.push_back(StateTensor::whole("optimizer." + options_.name + ".seen",
                                         seen_.matrix(options_.rows, 1, 1)));
}

}  // namespace gradmill
