#include "models/mf/ratings.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "dist/shard.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
template <class T>
VectorView<T> host_view(std::vector<T>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size()), Device{}};
}

int owner(std::int32_t key, const RowBoundaries& boundaries) {
  if (key < 0) return 0;
  return static_cast<int>(std::upper_bound(boundaries.begin(), boundaries.end(), key) -
                          boundaries.begin()) -
         1;
}

/// Orders an array by destination rank and sends each its part.
template <class T>
std::vector<T> exchange_array(const Context& host, Communicator& comm, const std::vector<T>& mine,
                              std::span<const std::int32_t> order,
                              std::span<const std::int64_t> send_counts,
                              std::span<const std::int64_t> receive_counts) {
  std::vector<T> send(mine.size());
  for (std::size_t e = 0; e < order.size(); ++e) send[e] = mine[static_cast<std::size_t>(order[e])];
  std::vector<T> received(static_cast<std::size_t>(
      std::accumulate(receive_counts.begin(), receive_counts.end(), std::int64_t{0})));
  comm.all_to_all(host, VectorView<const T>(host_view(send)), send_counts, host_view(received),
                  receive_counts);
  return received;
}
}  // namespace

RowBoundaries balanced_boundaries(std::span<const std::int64_t> counts, int ranks,
                                  std::int64_t row_cost) {
  std::vector<std::int64_t> offsets(counts.size() + 1);
  std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
  RowBoundaries boundaries{0};
  for (int rank = 0; rank < ranks; ++rank)
    boundaries.push_back(shard_rows_by_weight(offsets, rank, ranks, row_cost).end);
  return boundaries;
}

std::vector<std::int64_t> global_counts(const Context& host, Communicator& comm,
                                        std::span<const std::int32_t> rows_of, std::int64_t rows) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(rows));
  for (const std::int32_t row : rows_of) ++counts[static_cast<std::size_t>(row)];
  comm.all_reduce_sum(host, host_view(counts));
  return counts;
}

Ratings exchange_ratings(const Context& host, Communicator& comm, Ratings mine,
                         std::span<const std::int32_t> keys, const RowBoundaries& boundaries) {
  const auto world = static_cast<std::size_t>(comm.world_size());
  if (world == 1) return mine;
  require(mine.size() <= INT32_MAX, "exchange of {} ratings of one rank; use more ranks",
          mine.size());
  std::vector<std::int64_t> send_counts(world), receive_counts(world), ones(world, 1);
  std::vector<std::int32_t> destination(keys.size()), order(keys.size());
  for (std::size_t e = 0; e < keys.size(); ++e) {
    destination[e] = owner(keys[e], boundaries);
    ++send_counts[static_cast<std::size_t>(destination[e])];
  }
  std::vector<std::int64_t> place(world);
  std::exclusive_scan(send_counts.begin(), send_counts.end(), place.begin(), std::int64_t{0});
  for (std::size_t e = 0; e < keys.size(); ++e)
    order[static_cast<std::size_t>(place[static_cast<std::size_t>(destination[e])]++)] =
        static_cast<std::int32_t>(e);
  comm.all_to_all(host, VectorView<const std::int64_t>(host_view(send_counts)), ones,
                  host_view(receive_counts), ones);
  // A rank without ratings has no weights or timestamps, though others do: all agree before they send.
  std::array<std::int64_t, 2> present{!mine.weights.empty(), !mine.timestamps.empty()};
  comm.all_reduce_sum(host, VectorView<std::int64_t>{present.data(), 2, {}});
  Ratings result;
  result.users = exchange_array(host, comm, mine.users, order, send_counts, receive_counts);
  result.items = exchange_array(host, comm, mine.items, order, send_counts, receive_counts);
  result.values = exchange_array(host, comm, mine.values, order, send_counts, receive_counts);
  if (present[0])
    result.weights = exchange_array(host, comm, mine.weights, order, send_counts, receive_counts);
  if (present[1])
    result.timestamps =
        exchange_array(host, comm, mine.timestamps, order, send_counts, receive_counts);
  return result;
}

namespace {
/// A column of the ratings in the order of rows: row r's entries begin at offsets[r].
template <class T>
Buffer<T> scatter(const Context& host, VectorView<const std::int64_t> offsets,
                  std::int64_t first_row, std::span<const std::int32_t> rows_of,
                  std::span<const T> column) {
  Buffer<T> result(host, static_cast<std::int64_t>(column.size()));
  const auto to = result.view();
  std::vector<std::int64_t> next(offsets.begin(), offsets.end());
  for (std::size_t e = 0; e < column.size(); ++e)
    to[next[static_cast<std::size_t>(rows_of[e] - first_row)]++] = column[e];
  return result;
}
}  // namespace

void CsrRatings::count_rows(const Context& host, std::int64_t first_row, std::int64_t rows,
                            std::int64_t cols, std::span<const std::int32_t> rows_of) {
  rows_ = rows;
  cols_ = cols;
  offsets_ = Buffer<std::int64_t>(host, rows + 1);
  offsets_.zero();
  const auto offsets = offsets_.view();
  for (const std::int32_t row : rows_of) {
    require(row >= first_row && row - first_row < rows, "csr: row {} is outside of [{}, {})", row,
            first_row, first_row + rows);
    ++offsets[row - first_row + 1];
  }
  std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
}

void CsrRatings::sort_rows(const Context& host) {
  struct Entry {
    std::int32_t index;
    float value, weight;
  };
  const auto offsets = offsets_.view();
  const auto indices = indices_.view();
  const auto values = values_.view(), weights = weights_.view();
  host.threads().parallel_for(rows_, 256, [&](std::int64_t first, std::int64_t last, int) {
    std::vector<Entry> row;
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t begin = offsets[r], end = offsets[r + 1];
      if (std::is_sorted(indices.data + begin, indices.data + end)) continue;
      row.clear();
      for (std::int64_t e = begin; e < end; ++e)
        row.push_back(
            {indices[e], values.size ? values[e] : 0.0f, weights.size ? weights[e] : 1.0f});
      std::stable_sort(row.begin(), row.end(),
                       [](const Entry& a, const Entry& b) { return a.index < b.index; });
      for (std::int64_t e = begin; e < end; ++e) {
        const Entry& entry = row[static_cast<std::size_t>(e - begin)];
        indices[e] = entry.index;
        if (values.size) values[e] = entry.value;
        if (weights.size) weights[e] = entry.weight;
      }
    }
  });
}

CsrRatings CsrRatings::build(const Context& host, std::int64_t first_row, std::int64_t rows,
                             std::int64_t cols, std::span<const std::int32_t> rows_of,
                             std::span<const std::int32_t> cols_of, std::span<const float> values,
                             std::span<const float> weights) {
  CsrRatings csr;
  csr.count_rows(host, first_row, rows, cols, rows_of);
  const VectorView<const std::int64_t> offsets = csr.offsets_.view();
  csr.indices_ = scatter(host, offsets, first_row, rows_of, cols_of);
  csr.values_ = scatter(host, offsets, first_row, rows_of, values);
  csr.weights_ = scatter(host, offsets, first_row, rows_of, weights);
  csr.sort_rows(host);
  return csr;
}

CsrRatings CsrRatings::by_user(const Context& host, std::int64_t first_user, std::int64_t users,
                               std::int64_t items, Ratings ratings) {
  CsrRatings csr;
  csr.count_rows(host, first_user, users, items, ratings.users);
  const VectorView<const std::int64_t> offsets = csr.offsets_.view();
  const auto move = [&]<class T>(std::vector<T>& column) {
    auto moved = scatter(host, offsets, first_user, ratings.users, std::span<const T>(column));
    column = std::vector<T>();
    return moved;
  };
  csr.indices_ = move(ratings.items);
  csr.values_ = move(ratings.values);
  csr.weights_ = move(ratings.weights);
  ratings.users = {};
  csr.sort_rows(host);
  return csr;
}

CsrRatings CsrRatings::transposed(const Context& host) const {
  CsrRatings result;
  result.rows_ = cols_;
  result.cols_ = rows_;
  result.offsets_ = Buffer<std::int64_t>(host, cols_ + 1);
  result.indices_ = Buffer<std::int32_t>(host, nnz());
  result.values_ = Buffer<float>(host, nnz());
  if (!weights_.empty()) result.weights_ = Buffer<float>(host, nnz());
  const auto from = view();
  auto offsets = result.offsets_.view();
  result.offsets_.zero();
  for (std::int64_t e = 0; e < nnz(); ++e) ++offsets[from.indices[e] + 1];
  std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
  for (std::int64_t row = 0; row < rows_; ++row) {
    for (std::int64_t e = from.offsets[row]; e < from.offsets[row + 1]; ++e) {
      const std::int64_t place = offsets[from.indices[e]]++;
      result.indices_.view()[place] = static_cast<std::int32_t>(row);
      result.values_.view()[place] = from.values[e];
      if (!weights_.empty()) result.weights_.view()[place] = weights_.view()[e];
    }
  }
  std::copy_backward(offsets.begin(), offsets.end() - 1, offsets.end());
  offsets[0] = 0;
  return result;
}

CsrRatings CsrRatings::to(const Context& ctx) && {
  if (!ctx.is_cuda()) return std::move(*this);
  CsrRatings moved = copy_to(ctx);
  *this = CsrRatings{};
  return moved;
}

CsrRatings CsrRatings::copy_to(const Context& ctx) const {
  CsrRatings copy;
  copy.rows_ = rows_;
  copy.cols_ = cols_;
  auto upload = [&]<class T>(Buffer<T>& to, const Buffer<T>& from) {
    to = Buffer<T>::from_host(ctx, {from.view().data, static_cast<std::size_t>(from.size())});
  };
  upload(copy.offsets_, offsets_);
  upload(copy.indices_, indices_);
  upload(copy.values_, values_);
  upload(copy.weights_, weights_);
  ctx.synchronize();  // the host arrays may go away now
  return copy;
}

CsrView<const float> CsrRatings::view() const {
  return {rows_,
          cols_,
          indices_.size(),
          offsets_.view().data,
          indices_.view().data,
          values_.view().data,
          offsets_.view().device};
}

std::vector<std::int64_t> CsrRatings::row_counts() const {
  const std::vector<std::int64_t> offsets = offsets_.to_host();
  std::vector<std::int64_t> counts(static_cast<std::size_t>(rows_));
  for (std::size_t row = 0; row < counts.size(); ++row)
    counts[row] = offsets[row + 1] - offsets[row];
  return counts;
}

std::int64_t CsrRatings::bytes() const {
  return offsets_.size() * 8 + indices_.size() * 8 + weights_.size() * 4;
}

CsrView<const float> csr_rows(CsrView<const float> csr, std::int64_t first, std::int64_t count) {
  csr.offsets += first;
  csr.rows = count;
  return csr;  // nnz stays that of the whole: an upper bound
}

}  // namespace gradmill
