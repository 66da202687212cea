// Small systems solved together, one in each lane of a vector.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/normal_system/normal_system.h"
#include "kernels/simd.h"

namespace gradmill::cpu {

/// Solves rows' systems. Small ones wait until every lane of a vector has one and are factored side by
/// side: no chain of square roots, no part of a vector wasted. Large ones are solved at once. A
/// solution's bits depend on its system alone, not on what is in the other lanes.
class SystemBatch {
 public:
  /// Called with a row and its solution [size], null if it is not positive definite.
  using Finish = std::function<void(std::int64_t row, const float* solution)>;

  /// Floats of memory, 64-byte aligned.
  static std::int64_t memory_floats(std::int64_t size);
  SystemBatch(std::int64_t size, float* memory);

  /// Takes a system over and leaves another one, not cleared, in its place.
  void add(std::int64_t row, NormalSystem& system, const Finish& finish);
  /// Solves what waits.
  void flush(const Finish& finish);

 private:
  float* row(std::int64_t r) { return lower_ + r * (r + 1) / 2 * simd::kLanes; }
  void interleave();
  void factor();
  void factor_diagonal(std::int64_t first);
  template <int kRows>
  void solve_tile(std::int64_t first, std::int64_t column);
  void substitute_back();

  std::int64_t size_, rows_;  // rows_: size_ padded
  std::vector<NormalSystem> waiting_;
  std::vector<std::int64_t> waiting_rows_;
  // Vectors, one lane a system: the lower triangle by rows, then the right-hand side as one more row.
  float* lower_;
  float* inverse_diagonal_;
  bool solved_[simd::kLanes];
};

}  // namespace gradmill::cpu
