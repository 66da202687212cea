#include "models/linear/gradient_exchange.h"

#include <algorithm>
#include <numeric>

#include "kernels/table_rows/table_rows.h"

namespace gradmill {

GradientExchange::GradientExchange(const Context& ctx, Communicator& comm,
                                   const MiniBatches& batches, const LinearShape& shape,
                                   bool intercept)
    : ctx_(ctx),
      comm_(comm),
      plan_(batches.plan()),
      rows_(shape.num_features + 1),
      outputs_(shape.outputs),
      intercept_(intercept),
      dense_(batches.is_dense()) {
  if (plan_.kind == Exchange::none) return;
  own_ = Buffer<float>(ctx, batches.max_columns() * outputs_);
  if (plan_.kind == Exchange::sparse || (is_sharded() && !dense_))
    received_ = Buffer<float>(ctx, batches.max_received() * outputs_);
}

RowRange GradientExchange::owned() const {
  if (!is_sharded()) return {0, rows_};
  const auto rank = static_cast<std::size_t>(comm_.rank());
  return {plan_.bounds[rank], plan_.bounds[rank + 1]};
}

bool GradientExchange::owns_intercepts() const {
  return !is_sharded() || (intercept_ && owned().size() > 0 && owned().end == rows_);
}

/// Counts of rows as counts of values.
std::span<const std::int64_t> GradientExchange::scaled(const std::vector<std::int64_t>& of,
                                                       std::int64_t batch,
                                                       std::vector<std::int64_t>& into) const {
  const auto counts = plan_.counts(of, batch, comm_.world_size());
  into.assign(counts.begin(), counts.end());
  for (std::int64_t& count : into) count *= outputs_;
  return into;
}

void GradientExchange::pull(const MiniBatches::Batch& batch, MatrixView<float> parameters) {
  if (!is_sharded()) return;
  if (dense_) return complete(parameters);
  const auto here = scaled(plan_.sent, batch.index, sent_);
  const auto there = scaled(plan_.incoming, batch.index, incoming_);
  const std::int64_t columns = batch.columns.columns.size, served = batch.served.size;
  table_rows(ctx_, {parameters, batch.served, received_.matrix(served, outputs_, outputs_), false});
  comm_.all_to_all(ctx_, all_rows(received_, served), there, all_rows(own_, columns), here);
  table_rows(ctx_,
             {parameters, batch.columns.columns, own_.matrix(columns, outputs_, outputs_), true});
}

void GradientExchange::sum(const MiniBatches::Batch& batch, LinearBatchUpdateArgs& update) {
  update.columns = batch.columns;
  update.last = batch.num_columns;
  if (plan_.kind == Exchange::none) return;
  const std::int64_t columns = batch.num_columns;
  // The gradient of this rank's rows; where they are gathered, at its place.
  Buffer<float>& into = plan_.kind == Exchange::sparse ? received_ : own_;
  std::int64_t first = 0, received = batch.served.size;
  if (plan_.kind == Exchange::sparse) {
    const auto counts = plan_.counts(plan_.incoming, batch.index, comm_.world_size());
    first = std::accumulate(counts.begin(), counts.begin() + comm_.rank(), std::int64_t{0});
    received = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  }
  const MatrixView<float> mine{into.view().data + first * outputs_, columns, outputs_, outputs_,
                               ctx_.device()};
  linear_batch_gradient(ctx_, {update.matrix, batch.columns, update.intercept, update.slopes, mine,
                               update.accumulator});
  update.gradient = mine;
  if (plan_.kind == Exchange::dense || plan_.kind == Exchange::touched)
    return comm_.all_reduce_sum(ctx_, mine.flat());
  if (dense_) {
    const RowRange owned = this->owned();
    comm_.reduce_scatter_sum(ctx_, mine.flat(), bounds_counts(outputs_),
                             mine.rows_slice(owned.begin, owned.size()).flat());
    update.first = owned.begin;
    update.last = owned.end;
    return;
  }
  if (plan_.kind == Exchange::sparse)
    comm_.all_gather(ctx_, mine.flat(), scaled(plan_.incoming, batch.index, incoming_),
                     all_rows(received_, received));
  else
    comm_.all_to_all(ctx_, mine.flat(), scaled(plan_.sent, batch.index, sent_),
                     all_rows(received_, received), scaled(plan_.incoming, batch.index, incoming_));
  update.columns = {batch.updated, {}, {}, {}};
  update.last = batch.updated.size;
  update.gradient = received_.matrix(received, outputs_, outputs_);
  update.part_offsets = batch.part_offsets;
  update.parts = batch.parts;
}

std::span<const std::int64_t> GradientExchange::bounds_counts(std::int64_t width) {
  bounds_.clear();
  for (std::size_t r = 0; r + 1 < plan_.bounds.size(); ++r)
    bounds_.push_back((plan_.bounds[r + 1] - plan_.bounds[r]) * width);
  return bounds_;
}

void GradientExchange::complete(MatrixView<float> table) {
  if (!is_sharded()) return;
  const RowRange mine = owned();
  comm_.all_gather(ctx_, table.rows_slice(mine.begin, mine.size()).flat(),
                   bounds_counts(table.stride), table.rows_slice(0, plan_.bounds.back()).flat());
}

}  // namespace gradmill
