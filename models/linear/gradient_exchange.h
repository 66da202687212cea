// Brings the ranks' gradients of a mini-batch together, by the plan that the batches have.
#pragma once

#include "models/linear/batches.h"
#include "models/linear/solver.h"

namespace gradmill {

/// Everything is enqueued on the context's stream.
class GradientExchange {
 public:
  GradientExchange(const Context& ctx, Communicator& comm, const MiniBatches& batches,
                   const LinearShape& shape, bool intercept);

  /// Before a batch: the columns of `parameters` [n + 1, C] that its rows touch, from their owners.
  void pull(const MiniBatches::Batch& batch, MatrixView<float> parameters);
  /// After its slopes: sets what `update` needs beside them: columns, the ranks' gradients, and which
  /// columns this rank updates. The accumulator is update.accumulator.
  void sum(const MiniBatches::Batch& batch, LinearBatchUpdateArgs& update);
  /// After an epoch: every rank has all rows of a table of which each has its own. Collective.
  void complete(MatrixView<float> table);

  bool is_sharded() const { return plan_.kind == Exchange::sharded; }
  /// Rows of parameters [n + 1, C] whose state this rank has.
  RowRange owned() const;
  /// Whether the intercepts' row is among them.
  bool owns_intercepts() const;

 private:
  std::span<const std::int64_t> scaled(const std::vector<std::int64_t>& of, std::int64_t batch,
                                       std::vector<std::int64_t>& into) const;
  /// Values of each rank's own rows, `width` a row.
  std::span<const std::int64_t> bounds_counts(std::int64_t width);
  VectorView<float> all_rows(Buffer<float>& buffer, std::int64_t rows) {
    return buffer.view().slice(0, rows * outputs_);
  }

  const Context& ctx_;
  Communicator& comm_;
  const ExchangePlan& plan_;
  const std::int64_t rows_, outputs_;  // rows of the parameters
  const bool intercept_, dense_;
  Buffer<float> own_, received_;  // packed columns: of this rank's rows, and of all ranks that send
  std::vector<std::int64_t> sent_, incoming_, bounds_;  // in values
};

}  // namespace gradmill
