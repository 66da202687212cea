// The factors that a row of ratings refers to, side by side in cache, and what each contributes.
#pragma once

#include <cstdint>

#include "kernels/normal_equations/normal_equations.h"
#include "kernels/normal_system/normal_system.h"

namespace gradmill::cpu {

/// The size of the systems: a bias adds a component.
inline std::int64_t system_size(const NormalEquationsArgs& args) {
  return args.factors.cols + (args.biases.size ? 1 : 0);
}

/// Memory for some entries of a row: factors [count, stride] and the weights of y yᵀ in A and of y
/// in b (AlsWeights) [count].
struct EntryPanel {
  float* factors;
  std::int64_t stride;
  float* weights_a;
  float* weights_b;
};
/// The weights alone, of entries [first, first + count).
void weigh(const NormalEquationsArgs& args, std::int64_t first, std::int64_t count,
           float* weights_a, float* weights_b);
/// Fills in entries [first, first + count): factors in the first columns of panel's rows, whose
/// other columns are left alone, and weights.
void gather(const NormalEquationsArgs& args, std::int64_t first, std::int64_t count,
            const EntryPanel& panel);

/// Adds entries to systems, a panel of them at a time, in memory that the caller owns.
class EntryAdder {
 public:
  static std::int64_t memory_floats(std::int64_t size);
  /// args must outlive it.
  EntryAdder(const NormalEquationsArgs& args, float* memory);
  /// Adds entries [first, last) of args.ratings, in order.
  void add(std::int64_t first, std::int64_t last, NormalSystem& system);

 private:
  const NormalEquationsArgs& args_;
  EntryPanel panel_;
  float* scaled_;  // factors times weights_a, unless the weights are all the same
};

}  // namespace gradmill::cpu
