// Conjugate gradients for a few rows at a time on the CPU.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/ials_cg/ials_cg.h"
#include "kernels/normal_equations/entries.h"

namespace gradmill::cpu {

/// Rows that go through their CG steps together, so that their products with the base are one
/// matrix product. Their factors are fetched once and stay in cache, as far as they fit there.
class CgBlock {
 public:
  static constexpr std::int64_t kRows = 8;
  static std::int64_t memory_floats(std::int64_t num_factors);
  /// base: [k, simd::row_stride(k)], zero beyond k, or null. args and equations (the same problem) must
  /// outlive the block.
  CgBlock(const IalsCgArgs& args, const NormalEquationsArgs& equations, const float* base,
          float* memory);

  /// Takes a row that has ratings; solves the rows before it if there is no room.
  void add(std::int64_t row);
  /// Does the steps, writes the solutions and empties the block.
  void solve();

 private:
  struct Row {
    std::int64_t row, first, last;  // entries [first, last)
    std::int64_t slot, resident;    // the first `resident` entries stay, from this slot on
    bool active;
    float ridge, residual_norm;
  };
  enum class Pass { residual, product, length };

  static std::int64_t capacity(std::int64_t num_factors);
  static bool in_place(std::int64_t num_factors);
  EntryPanel slots(std::int64_t first) const;
  void take(std::int64_t first, std::int64_t count, std::int64_t slot);
  bool biased() const { return equations_.biases.size > 0; }
  void multiply_base(const float* vectors);
  template <int kTile>
  void multiply_base_tile(const float* vectors, std::int64_t first);
  template <Pass kPass>
  float add_entries(const Row& row, const float* vector, float* sum);
  void start(Row& row, float* x, float* residual, float* direction, const float* base_product);
  void step(Row& row, float* x, float* residual, float* direction, float* product);
  void last_step(Row& row, float* x, const float* direction, float* product);

  const IalsCgArgs& args_;
  const NormalEquationsArgs& equations_;
  const float* base_;
  std::int64_t stride_, base_stride_;
  std::int64_t vecs_, all_vecs_;  // of factors; with the one of the bias behind them
  std::int64_t bias_;             // where the bias is: its factor is 1 and not in memory
  std::int64_t capacity_, used_ = 0, count_ = 0;
  Row rows_[kRows];
  float *x_, *residual_, *direction_, *product_;  // [kRows, stride_] each
  EntryPanel entries_;  // capacity_ resident ones, then those of long rows that pass by
  bool in_place_;
  std::vector<const float*> factors_;  // of the entries: the caller's rows, or copies in entries_
};

}  // namespace gradmill::cpu
