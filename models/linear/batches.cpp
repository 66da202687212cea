#include "models/linear/batches.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr double kDenseShare = 0.4;
constexpr std::uint64_t kRowEpoch = 0x80000000u;  // of the permutation of rows: no epoch has it

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

template <class T>
Buffer<T> upload(const Context& ctx, const std::vector<T>& host) {
  return Buffer<T>::from_host(ctx, {host.data(), host.size()});
}

Samples shuffled(const Context& host, Samples mine, std::uint64_t seed, int rank) {
  const std::int64_t rows = mine.rows();
  if (rows == 0) return mine;
  const Permutation order(static_cast<std::uint64_t>(rows), seed,
                          kRowEpoch + static_cast<std::uint64_t>(rank));
  std::vector<std::int64_t> from(at(rows));
  host.threads().parallel_for(rows, 1024, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t r = first; r < last; ++r)
      from[at(r)] = static_cast<std::int64_t>(order(static_cast<std::uint64_t>(r)));
  });
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
                         Samples unordered, bool intercept, std::int64_t global_batch,
                         bool all_columns, std::uint64_t seed)
    : ctx_(ctx), intercept_(intercept), all_columns_(all_columns) {
  const Samples mine = shuffled(host, std::move(unordered), seed, comm.rank());
  rows_ = mine.rows();
  features_ = mine.num_features;
  cut(host, comm, mine, global_batch);

  std::array<double, 2> fill{static_cast<double>(mine.indices.size()),
                             static_cast<double>(rows_) * static_cast<double>(features_)};
  comm.all_reduce_sum(host, VectorView<double>{fill.data(), 2, {}});
  labels_ = upload(ctx, mine.labels);
  weights_ = upload(ctx, mine.weights);
  if (fill[0] >= kDenseShare * fill[1] && features_ > 0) {
    std::vector<float> dense(at(std::max<std::int64_t>(rows_ * features_, 1)), 0.0f);
    for (std::int64_t r = 0; r < rows_; ++r)
      for (std::int64_t e = mine.offsets[at(r)]; e < mine.offsets[at(r) + 1]; ++e)
        dense[at(r * features_ + mine.indices[at(e)])] +=
            mine.values.empty() ? 1.0f : mine.values[at(e)];
    dense_ = upload(ctx, dense);
    column_starts_.clear();
    for (std::int64_t b = 0; b <= size(); ++b)
      column_starts_.push_back(b * (features_ + intercept));
  } else {
    std::vector<std::int32_t> columns;
    find_columns(host, comm, mine, columns);
    columns_ = upload(ctx, columns);
    if (linear_batch_reads_columns(ctx)) sort_entries(mine, columns);
    offsets_ = upload(ctx, mine.offsets);
    indices_ = upload(ctx, mine.indices);
    values_ = upload(ctx, mine.values);
  }
  ctx.synchronize();
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

void MiniBatches::find_columns(const Context& host, Communicator& comm, const Samples& mine,
                               std::vector<std::int32_t>& columns) {
  std::vector<std::vector<std::int32_t>> lists(at(size()));
  host.threads().parallel_for(size(), 4, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<std::uint64_t> bits;
    std::vector<std::int32_t> found;
    for (std::int64_t b = first; b < last; ++b) {
      if (all_columns_) {
        found.resize(at(features_));
        std::iota(found.begin(), found.end(), 0);
      } else {
        distinct(mine.indices.data() + starts_[at(b)], starts_[at(b) + 1] - starts_[at(b)],
                 features_, bits, found);
      }
      if (intercept_) found.push_back(static_cast<std::int32_t>(features_));
      lists[at(b)] = found;
    }
  });
  if (comm.world_size() > 1 && !all_columns_) {
    // Every rank's lists of every batch, rank by rank.
    std::vector<std::int64_t> sizes, all_sizes(at(size()) * at(comm.world_size()));
    std::vector<std::int32_t> own;
    for (const auto& list : lists) {
      sizes.push_back(static_cast<std::int64_t>(list.size()));
      own.insert(own.end(), list.begin(), list.end());
    }
    const std::vector<std::int64_t> each(at(comm.world_size()), size());
    comm.all_gather(host, VectorView<const std::int64_t>{sizes.data(), size(), {}}, each,
                    VectorView<std::int64_t>{
                        all_sizes.data(), static_cast<std::int64_t>(all_sizes.size()), {}});
    std::vector<std::int64_t> totals;
    for (int r = 0; r < comm.world_size(); ++r)
      totals.push_back(std::accumulate(all_sizes.begin() + r * size(),
                                       all_sizes.begin() + (r + 1) * size(), std::int64_t{0}));
    std::vector<std::int32_t> all(
        at(std::accumulate(totals.begin(), totals.end(), std::int64_t{0})));
    comm.all_gather(
        host, VectorView<const std::int32_t>{own.data(), static_cast<std::int64_t>(own.size()), {}},
        totals, VectorView<std::int32_t>{all.data(), static_cast<std::int64_t>(all.size()), {}});
    std::int64_t from = 0;
    for (int r = 0; r < comm.world_size(); ++r) {
      for (std::int64_t b = 0; b < size(); ++b) {
        const std::int64_t count = all_sizes[at(r * size() + b)];
        if (r != comm.rank())
          lists[at(b)].insert(lists[at(b)].end(), all.begin() + from, all.begin() + from + count);
        from += count;
      }
    }
    for (auto& list : lists) {
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    }
  }
  column_starts_ = {0};
  for (const auto& list : lists) {
    columns.insert(columns.end(), list.begin(), list.end());
    column_starts_.push_back(static_cast<std::int64_t>(columns.size()));
  }
}

/// Entries of each batch by column: what the kernels of a GPU add up without collisions.
void MiniBatches::sort_entries(const Samples& mine, const std::vector<std::int32_t>& columns) {
  std::vector<std::int64_t> offsets, next(at(features_) + 1);
  const std::size_t entries = mine.indices.size() + (intercept_ ? at(rows_) : 0);
  std::vector<std::int32_t> rows(entries);
  std::vector<float> values(mine.values.empty() ? 0 : entries);
  std::int64_t filled = 0;
  for (std::int64_t b = 0; b < size(); ++b) {
    const std::int64_t first = first_row(b), last = first_row(b + 1);
    const std::int32_t* begin = columns.data() + column_starts_[at(b)];
    const std::int32_t* end = columns.data() + column_starts_[at(b) + 1];
    for (const std::int32_t* j = begin; j < end; ++j) next[at(*j)] = 0;
    for (std::int64_t e = starts_[at(b)]; e < starts_[at(b) + 1]; ++e)
      ++next[at(mine.indices[at(e)])];
    if (intercept_) next[at(features_)] = last - first;
    for (const std::int32_t* j = begin; j < end; ++j) {
      offsets.push_back(filled);
      filled += next[at(*j)];
      next[at(*j)] = offsets.back();
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
  column_offsets_ = upload(ctx_, offsets);
  entry_rows_ = upload(ctx_, rows);
  entry_values_ = upload(ctx_, values);
  ctx_.synchronize();
}

MiniBatches::Batch MiniBatches::batch(std::int64_t b) const {
  Batch batch;
  const std::int64_t first = first_row(b), rows = first_row(b + 1) - first;
  batch.first_row = first;
  batch.scale = scales_[at(b)];
  batch.labels = labels_.view().slice(first, rows);
  if (!weights_.empty()) batch.weights = weights_.view().slice(first, rows);
  batch.num_columns = column_starts_[at(b) + 1] - column_starts_[at(b)];
  if (!dense_.empty()) {
    batch.matrix.dense = {dense_.view().data + first * features_, rows, features_, features_,
                          ctx_.device()};
    return batch;
  }
  batch.matrix.rows = {rows,
                       features_,
                       starts_[at(b) + 1] - starts_[at(b)],
                       offsets_.view().data + first,
                       indices_.view().data,
                       values_.empty() ? nullptr : values_.view().data,
                       ctx_.device()};
  batch.columns.columns = columns_.view().slice(column_starts_[at(b)], batch.num_columns);
  if (!column_offsets_.empty()) {
    // A batch has one offset more than columns.
    batch.columns.offsets =
        column_offsets_.view().slice(column_starts_[at(b)] + b, batch.num_columns + 1);
    const std::int64_t begin = starts_[at(b)] + (intercept_ ? first : 0);
    const std::int64_t count = batch.matrix.rows.nnz + (intercept_ ? rows : 0);
    batch.columns.rows = entry_rows_.view().slice(begin, count);
    if (!entry_values_.empty()) batch.columns.values = entry_values_.view().slice(begin, count);
  }
  return batch;
}

std::int64_t MiniBatches::max_rows() const {
  std::int64_t most = 0;
  for (std::int64_t b = 0; b < size(); ++b) most = std::max(most, first_row(b + 1) - first_row(b));
  return most;
}

std::int64_t MiniBatches::max_columns() const {
  std::int64_t most = 0;
  for (std::size_t b = 1; b < column_starts_.size(); ++b)
    most = std::max(most, column_starts_[b] - column_starts_[b - 1]);
  return most;
}

}  // namespace gradmill
