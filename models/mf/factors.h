// Factor tables and the view of a factorization that prediction, ranking and storage share.
#pragma once

#include <cstdint>

#include "runtime/buffer.h"
#include "runtime/random.h"

namespace gradmill {

/// Row stride in elements: rows of up to 16 factors fill whole 32- or 64-byte pieces, wider ones whole
/// 128-byte lines, so that a row is never fetched with a neighbour's bytes. The padding is zero.
constexpr std::int64_t factor_stride(std::int64_t num_factors) {
  return num_factors <= 8 ? 8 : num_factors <= 16 ? 16 : (num_factors + 31) / 32 * 32;
}

class FactorTable {
 public:
  FactorTable() = default;
  /// Zeros. The context must outlive the table.
  FactorTable(const Context& ctx, std::int64_t rows, std::int64_t num_factors);
  /// N(0, stddev^2 / num_factors) by Philox: row r gets the numbers of (seed, stream, first_row + r),
  /// so they do not depend on which rank or device holds the row.
  void initialize(std::uint64_t seed, RandomStream stream, std::int64_t first_row, double stddev);

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  std::int64_t stride() const { return factor_stride(cols_); }
  MatrixView<float> view() { return values_.matrix(rows_, cols_, stride()); }
  MatrixView<const float> view() const { return values_.matrix(rows_, cols_, stride()); }
  MatrixView<float> rows_view(std::int64_t first, std::int64_t count) {
    return view().rows_slice(first, count);
  }

 private:
  const Context* ctx_ = nullptr;
  std::int64_t rows_ = 0, cols_ = 0;
  Buffer<float> values_;
};

/// What a rank can predict with: all items, and the users in [first_user, first_user + users.rows).
/// Prediction: mean + user bias + item bias + <p_u, q_i>; biases are empty where the model has none.
struct FactorsView {
  std::int64_t first_user = 0;
  MatrixView<const float> users, items;
  VectorView<const float> user_biases, item_biases;
  float mean = 0;
};

}  // namespace gradmill
