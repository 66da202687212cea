#include "models/linear/batches.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "models/linear/row_order.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr double kDenseShare = 0.4;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

Samples shuffled(const Context& host, Samples mine, std::int64_t global_batch, std::uint64_t seed,
                 int rank) {
  const std::int64_t rows = mine.rows();
  if (rows == 0) return mine;
  const std::vector<std::int32_t> from = row_order(host, rows, global_batch, seed, rank);
  Samples result;
  result.num_features = mine.num_features;
  result.offsets.resize(at(rows) + 1);
  for (std::int64_t r = 0; r < rows; ++r)
    result.offsets[at(r) + 1] =
        result.offsets[at(r)] + mine.offsets[at(from[at(r)]) + 1] - mine.offsets[at(from[at(r)])];
  result.indices.resize(mine.indices.size());
  result.values.resize(mine.values.size());
  result.labels.resize(at(rows));
  result.weights.resize(mine.weights.size());
  host.threads().parallel_for(rows, 256, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t r = first; r < last; ++r) {
      const std::size_t old = at(from[at(r)]);
      const std::int64_t begin = mine.offsets[old], count = mine.offsets[old + 1] - begin;
      std::copy_n(mine.indices.begin() + begin, count,
                  result.indices.begin() + result.offsets[at(r)]);
      if (!mine.values.empty())
        std::copy_n(mine.values.begin() + begin, count,
                    result.values.begin() + result.offsets[at(r)]);
      result.labels[at(r)] = mine.labels[old];
      if (!mine.weights.empty()) result.weights[at(r)] = mine.weights[old];
    }
  });
  return result;
}

/// Distinct values, ascending: by a bit for each feature, or by sorting where there are too many features.
void distinct(const std::int32_t* values, std::int64_t count, std::int64_t features,
              std::vector<std::uint64_t>& bits, std::vector<std::int32_t>& into) {
  into.clear();
  if (features / 64 > 4 * count) {
    into.assign(values, values + count);
    std::sort(into.begin(), into.end());
    into.erase(std::unique(into.begin(), into.end()), into.end());
    return;
  }
  bits.assign(at(features / 64 + 1), 0);
  for (std::int64_t e = 0; e < count; ++e)
    bits[at(values[e] >> 6)] |= std::uint64_t{1} << (values[e] & 63);
  for (std::size_t word = 0; word < bits.size(); ++word)
    for (std::uint64_t left = bits[word]; left != 0; left &= left - 1)
      into.push_back(static_cast<std::int32_t>(word * 64) + __builtin_ctzll(left));
}
}  // namespace

MiniBatches::MiniBatches(const Context& ctx, const Context& host, Communicator& comm,
                         Samples unordered, const Options& options)
    : ctx_(ctx), intercept_(options.intercept), store_(ctx) {
  Samples mine =
      shuffled(host, std::move(unordered), options.global_batch, options.seed, comm.rank());
  rows_ = mine.rows();
  features_ = mine.num_features;
  cut(host, comm, mine, options.global_batch);

  std::array<double, 2> fill{static_cast<double>(mine.indices.size()),
                             static_cast<double>(rows_) * static_cast<double>(features_)};
  comm.all_reduce_sum(host, VectorView<double>{fill.data(), 2, {}});
  const std::int64_t columns = features_ + intercept_;
  labels_ = store_.add(std::move(mine.labels), row_starts(1));
  weights_ = store_.add(std::move(mine.weights), row_starts(1));
  if (fill[0] >= kDenseShare * fill[1] && features_ > 0) {
    plan_ = plan_dense_exchange(comm, options.exchange, size(), columns);
    add_dense(mine);
  } else {
    plan_ = plan_exchange(host, comm, options.exchange, find_columns(host, mine), columns);
    if (linear_batch_reads_columns(ctx)) add_entries(mine);
    add_sparse(mine);
    add_lists();
  }
  mine = {};
  store_.place(size(), options.device_bytes);
}

std::vector<std::int64_t> MiniBatches::row_starts(std::int64_t each, std::int64_t more) const {
  std::vector<std::int64_t> starts;
  for (std::int64_t b = 0; b <= size(); ++b) starts.push_back(first_row(b) * each + b * more);
  return starts;
}

void MiniBatches::add_dense(const Samples& mine) {
  std::vector<float> dense(at(rows_ * features_), 0.0f);
  for (std::int64_t r = 0; r < rows_; ++r)
    for (std::int64_t e = mine.offsets[at(r)]; e < mine.offsets[at(r) + 1]; ++e)
      dense[at(r * features_ + mine.indices[at(e)])] +=
          mine.values.empty() ? 1.0f : mine.values[at(e)];
  dense_ = store_.add(std::move(dense), row_starts(features_));
  nothing_ = Buffer<float>(ctx_, 1);
}

/// Rows: their offsets begin at 0 in each batch.
void MiniBatches::add_sparse(Samples& mine) {
  std::vector<std::int64_t> offsets;
  offsets.reserve(at(rows_ + size()));
  for (std::int64_t b = 0; b < size(); ++b)
    for (std::int64_t r = first_row(b); r <= first_row(b + 1); ++r)
      offsets.push_back(mine.offsets[at(r)] - starts_[at(b)]);
  offsets_ = store_.add(std::move(offsets), row_starts(1, 1));
  indices_ = store_.add(std::move(mine.indices), starts_);
  values_ = store_.add(std::move(mine.values), starts_);
}

void MiniBatches::add_lists() {
  const auto add = [this](BatchLists& lists) {
    return store_.add(std::move(lists.values), lists.starts);
  };
  // What the lists' lengths are is still asked for.
  columns_ = add(plan_.gradient);
  updated_ = add(plan_.updated);
  part_offsets_ = add(plan_.part_offsets);
  parts_ = add(plan_.parts);
  served_ = add(plan_.served);
}

void MiniBatches::cut(const Context& host, Communicator& comm, const Samples& mine,
                      std::int64_t global_batch) {
  std::int64_t global_rows = rows_;
  comm.all_reduce_sum(host, VectorView<std::int64_t>{&global_rows, 1, {}});
  expect(global_rows > 0, ErrorKind::data, "there are no samples to train on");
  const std::int64_t batches = (global_rows + global_batch - 1) / global_batch;
  scales_.resize(at(batches));
  std::vector<double> weights(at(batches), 0.0);
  for (std::int64_t b = 0; b < batches; ++b)
    for (std::int64_t r = first_row(b); r < first_row(b + 1); ++r)
      weights[at(b)] += mine.weights.empty() ? 1.0 : mine.weights[at(r)];
  comm.all_reduce_sum(host, VectorView<double>{weights.data(), batches, {}});
  for (std::int64_t b = 0; b < batches; ++b) {
    starts_.push_back(mine.offsets[at(first_row(b))]);
    scales_[at(b)] = weights[at(b)] > 0 ? static_cast<float>(1 / weights[at(b)]) : 0.0f;
  }
  starts_.push_back(mine.offsets[at(rows_)]);
  total_weight_ = std::accumulate(weights.begin(), weights.end(), 0.0);
}

/// The columns that this rank's rows of each batch touch, and the intercept.
BatchLists MiniBatches::find_columns(const Context& host, const Samples& mine) const {
  std::vector<std::vector<std::int32_t>> lists(at(size()));
  host.threads().parallel_for(size(), 4, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<std::uint64_t> bits;
    std::vector<std::int32_t> found;
    for (std::int64_t b = first; b < last; ++b) {
      distinct(mine.indices.data() + starts_[at(b)], starts_[at(b) + 1] - starts_[at(b)], features_,
               bits, found);
      if (intercept_) found.push_back(static_cast<std::int32_t>(features_));
      lists[at(b)] = found;
    }
  });
  BatchLists all;
  for (const auto& list : lists) all.append(list);
  return all;
}

/// Entries of each batch by column: what the kernels of a GPU add up without collisions.
void MiniBatches::add_entries(const Samples& mine) {
  const BatchLists& columns = plan_.gradient;
  std::vector<std::int64_t> offsets, next(at(features_) + 1);
  const std::size_t entries = mine.indices.size() + (intercept_ ? at(rows_) : 0);
  std::vector<std::int32_t> rows(entries);
  std::vector<float> values(mine.values.empty() ? 0 : entries);
  std::int64_t filled = 0;
  for (std::int64_t b = 0; b < size(); ++b) {
    const std::int64_t first = first_row(b), last = first_row(b + 1);
    const auto list = columns[b];
    for (const std::int32_t j : list) next[at(j)] = 0;
    for (std::int64_t e = starts_[at(b)]; e < starts_[at(b) + 1]; ++e)
      ++next[at(mine.indices[at(e)])];
    if (intercept_) next[at(features_)] = last - first;
    for (const std::int32_t j : list) {
      offsets.push_back(filled);
      filled += next[at(j)];
      next[at(j)] = offsets.back();
    }
    offsets.push_back(filled);
    const auto put = [&](std::int64_t column, std::int64_t row, float value) {
      const std::size_t to = at(next[at(column)]++);
      rows[to] = static_cast<std::int32_t>(row - first);
      if (!values.empty()) values[to] = value;
    };
    for (std::int64_t r = first; r < last; ++r) {
      for (std::int64_t e = mine.offsets[at(r)]; e < mine.offsets[at(r) + 1]; ++e)
        put(mine.indices[at(e)], r, mine.values.empty() ? 1.0f : mine.values[at(e)]);
      if (intercept_) put(features_, r, 1.0f);
    }
  }
  std::vector<std::int64_t> column_starts, entry_starts;
  for (std::int64_t b = 0; b <= size(); ++b) {
    column_starts.push_back(columns.starts[at(b)] + b);  // a batch has one offset more than columns
    entry_starts.push_back(starts_[at(b)] + (intercept_ ? first_row(b) : 0));
  }
  column_offsets_ = store_.add(std::move(offsets), std::move(column_starts));
  entry_rows_ = store_.add(std::move(rows), entry_starts);
  entry_values_ = store_.add(std::move(values), std::move(entry_starts));
}

MiniBatches::Batch MiniBatches::batch(std::int64_t b, std::int64_t next) {
  store_.load(b, next);
  Batch batch;
  const std::int64_t rows = first_row(b + 1) - first_row(b);
  batch.index = b;
  batch.first_row = first_row(b);
  batch.scale = scales_[at(b)];
  batch.labels = store_.get<float>(labels_);
  batch.weights = store_.get<float>(weights_);
  if (is_dense()) {
    batch.num_columns = features_ + intercept_;
    // Without rows they are dense as well.
    const float* const data = rows > 0 ? store_.get<float>(dense_).data : nothing_.view().data;
    batch.matrix.dense = {data, rows, features_, features_, ctx_.device()};
    return batch;
  }
  batch.matrix.rows = {rows,
                       features_,
                       starts_[at(b) + 1] - starts_[at(b)],
                       store_.get<std::int64_t>(offsets_).data,
                       store_.get<std::int32_t>(indices_).data,
                       store_.get<float>(values_).data,
                       ctx_.device()};
  batch.columns.columns = store_.get<std::int32_t>(columns_);
  batch.num_columns = batch.columns.columns.size;
  if (column_offsets_ >= 0) {
    batch.columns.offsets = store_.get<std::int64_t>(column_offsets_);
    batch.columns.rows = store_.get<std::int32_t>(entry_rows_);
    batch.columns.values = store_.get<float>(entry_values_);
  }
  batch.updated = store_.get<std::int32_t>(updated_);
  batch.part_offsets = store_.get<std::int32_t>(part_offsets_);
  batch.parts = store_.get<std::int32_t>(parts_);
  batch.served = store_.get<std::int32_t>(served_);
  return batch;
}

std::int64_t MiniBatches::max_rows() const {
  std::int64_t most = 0;
  for (std::int64_t b = 0; b < size(); ++b) most = std::max(most, first_row(b + 1) - first_row(b));
  return most;
}

std::int64_t MiniBatches::max_columns() const {
  return is_dense() ? features_ + intercept_ : plan_.gradient.longest();
}

}  // namespace gradmill
