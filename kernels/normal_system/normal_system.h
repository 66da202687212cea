// One row's normal equations on the CPU: summed up, factored and solved in a core's cache.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace gradmill::cpu {

/// A symmetric A [size, size], of which the upper triangle is kept, and b [size], in memory that
/// the caller owns. Rows and columns are padded to whole tiles with the identity, which changes no
/// solution.
class NormalSystem {
 public:
  /// Floats of memory, 64-byte aligned, that a system needs.
  static std::int64_t memory_floats(std::int64_t size);
  NormalSystem(std::int64_t size, float* memory);

  std::int64_t size() const { return size_; }
  /// Row stride of A and of the panels that are added.
  std::int64_t stride() const { return stride_; }
  float* row(std::int64_t r) { return a_ + r * stride_; }
  const float* row(std::int64_t r) const { return a_ + r * stride_; }
  float* rhs() { return b_; }
  const float* rhs() const { return b_; }

  void clear();
  /// A += scale * sum of left_e right_eᵀ over the rows of two panels [count, stride()], zero beyond
  /// size(); symmetric, as left_e is a multiple of right_e. Counts only after settle().
  void add_products(const float* left, const float* right, std::int64_t count, float scale);
  void settle();
  /// b += sum of weights_e right_e.
  void add_rows(const float* right, const float* weights, std::int64_t count);
  void add(const NormalSystem& other);
  /// A += symmetric [size, size].
  void add_symmetric(MatrixView<const float> symmetric);
  void add_diagonal(float value);

  /// Solves A x = b; destroys A and b. False if A is not positive definite.
  bool solve();
  /// What solve() found, [size].
  const float* solution() const { return x_; }

 private:
  template <int kFirst, int kLast>
  void add_block_rows(const float* left, const float* right, std::int64_t count, float scale,
                      std::int64_t block, std::int64_t half);
  bool factor_diagonal(std::int64_t first);
  void factor_right_of(std::int64_t first);
  void substitute_back();

  std::int64_t size_, rows_, vecs_, stride_;
  float* a_;
  float* b_;
  float* inverse_diagonal_;
  float* x_;
  float* turned_;  // products of the blocks on the diagonal, not yet in A
};

}  // namespace gradmill::cpu
