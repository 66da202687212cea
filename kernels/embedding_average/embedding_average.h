// Moving averages of embedding rows, brought up to date when they are needed.
#pragma once

#include "kernels/step_state.h"
#include "runtime/check.h"

namespace gradmill {

/// An average a <- decay a + (1 - decay) w is due at each step, but a row w changes at few. For the rows asked for,
/// with k = steps made before this one (state; settle: up to now) - at[row]:
///   averages[row] = decay^k averages[row] + (1 - decay^k) table[row];   at[row] += k.
/// So called for a batch's rows before they change, and for all rows (settle) before averages are read. For a batch
/// nothing happens unless the step applies.
/// Shapes   table, averages [R, K]; at [R]; ids [>= count[0]] and count [1], or empty: all rows (settle).
/// Bytes    12 K + 8 a row.     Order  rows are independent.
struct EmbeddingAverageArgs {
  VectorView<const std::int32_t> ids;
  VectorView<const std::int64_t> count;
  VectorView<const double> state;
  float decay = 0;
  MatrixView<const float> table;
  MatrixView<float> averages;
  VectorView<std::int32_t> at;

  static constexpr Tolerance tolerance{1e-5, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("ids", ids);
    v.in("count", count);
    v.in("state", state);
    v.in("table", table);
    v.out("averages", averages);
    v.out("at", at);
  }
};
void embedding_average(const Context& ctx, const EmbeddingAverageArgs& args);
namespace cpu {
void embedding_average(const Context& ctx, const EmbeddingAverageArgs& args);
}
namespace cuda {
void embedding_average(const Context& ctx, const EmbeddingAverageArgs& args);
}

/// The step up to which averages are wanted.
GRADMILL_HD inline std::int32_t average_goal(const EmbeddingAverageArgs& args) {
  return static_cast<std::int32_t>(args.state[StepState::made]) - (args.count.size ? 1 : 0);
}

}  // namespace gradmill
