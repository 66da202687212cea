// Ratings as the solvers hold them: triples that travel between ranks, and sparse rows on a device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "dist/communicator.h"
#include "runtime/buffer.h"

namespace gradmill {

/// One entry a rating; weights may be empty (all 1). Rows are global rows of the factor tables.
struct Ratings {
  std::vector<std::int32_t> users, items;
  std::vector<float> values, weights;
  std::vector<std::int64_t> timestamps;  // or empty; the solvers do not use them
  std::int64_t size() const { return static_cast<std::int64_t>(users.size()); }
};

/// Contiguous shares of rows: rank r owns [boundaries[r], boundaries[r + 1]).
using RowBoundaries = std::vector<std::int64_t>;

/// Boundaries that give every rank about the same work, where a row costs its ratings and row_cost
/// more; the same on every rank. counts [rows].
RowBoundaries balanced_boundaries(std::span<const std::int64_t> counts, int ranks,
                                  std::int64_t row_cost);

/// How many ratings each row has over all ranks. rows_of: users or items of this rank's ratings.
std::vector<std::int64_t> global_counts(const Context& host, Communicator& comm,
                                        std::span<const std::int32_t> rows_of, std::int64_t rows);

/// Collective. Gives every rank the ratings whose key (one a rating: users or items) lies in its share,
/// in the order rank 0's, rank 1's, ...; key -1 goes to rank 0.
Ratings exchange_ratings(const Context& host, Communicator& comm, Ratings mine,
                         std::span<const std::int32_t> keys, const RowBoundaries& boundaries);

/// Sparse rows that own their memory.
class CsrRatings {
 public:
  CsrRatings() = default;
  /// Row r gets the ratings with rows_of[e] == first_row + r, columns ascending (equal columns in the
  /// order given). values may be empty: then the result has none. host: a CPU context whose memory holds the result.
  static CsrRatings build(const Context& host, std::int64_t first_row, std::int64_t rows,
                          std::int64_t cols, std::span<const std::int32_t> rows_of,
                          std::span<const std::int32_t> cols_of, std::span<const float> values,
                          std::span<const float> weights);
  /// Rows are users; each column of the ratings is freed as soon as it is copied.
  static CsrRatings by_user(const Context& host, std::int64_t first_user, std::int64_t users,
                            std::int64_t items, Ratings ratings);
  /// Rows become columns: [cols, rows]. host as above.
  CsrRatings transposed(const Context& host) const;
  /// The same in the memory of ctx's device.
  CsrRatings to(const Context& ctx) &&;
  CsrRatings copy_to(const Context& ctx) const;

  CsrView<const float> view() const;
  VectorView<const float> weights() const { return weights_.view(); }
  std::vector<std::int64_t> row_counts() const;
  std::int64_t rows() const { return rows_; }
  std::int64_t nnz() const { return indices_.size(); }
  std::int64_t bytes() const;

 private:
  void count_rows(const Context& host, std::int64_t first_row, std::int64_t rows, std::int64_t cols,
                  std::span<const std::int32_t> rows_of);
  void sort_rows(const Context& host);
  std::int64_t rows_ = 0, cols_ = 0;
  Buffer<std::int64_t> offsets_;
  Buffer<std::int32_t> indices_;
  Buffer<float> values_, weights_;
};

/// Rows [first, first + count) of a CSR view; entries keep their places in the arrays.
CsrView<const float> csr_rows(CsrView<const float> csr, std::int64_t first, std::int64_t count);

/// Calls sink(std::span<const T>) for the array's pieces of at most `piece` elements, in host memory.
template <class T, class Sink>
void visit_on_host(const Context& ctx, VectorView<const T> array, std::int64_t piece, Sink&& sink) {
  std::vector<T> copied;
  for (std::int64_t first = 0; first < array.size; first += piece) {
    const auto count = static_cast<std::size_t>(std::min(piece, array.size - first));
    const T* data = array.data + first;
    if (array.device.kind != DeviceKind::cpu) {
      copied.resize(count);
      copy_bytes(ctx, copied.data(), Device{}, data, array.device, count * sizeof(T));
      ctx.synchronize();
      data = copied.data();
    }
    sink(std::span<const T>(data, count));
  }
}

}  // namespace gradmill
