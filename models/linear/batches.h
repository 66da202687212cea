// A rank's samples as mini-batches that are the same in every epoch, on the solver's device.
#pragma once

#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "kernels/linear_step/linear_step.h"
#include "models/linear/samples.h"
#include "runtime/buffer.h"

namespace gradmill {

/// Rows are shuffled once by the seed and cut into as many batches on every rank; so what a batch needs
/// beside its rows, the columns that it touches on any rank and their entries, is made once. An epoch
/// permutes the batches.
class MiniBatches {
 public:
  /// Collective. global_batch: rows of a batch, all ranks' together.
  MiniBatches(const Context& ctx, const Context& host, Communicator& comm, Samples mine,
              bool intercept, std::int64_t global_batch, bool all_columns, std::uint64_t seed);

  struct Batch {
    std::int64_t first_row = 0;
    SampleMatrix matrix;
    VectorView<const float> labels, weights;
    BatchColumns columns;
    std::int64_t num_columns = 0;
    float scale = 0;  // 1 / the weight of all ranks' samples in it
  };
  std::int64_t size() const { return static_cast<std::int64_t>(scales_.size()); }
  Batch batch(std::int64_t index) const;

  std::int64_t rows() const { return rows_; }
  double total_weight() const { return total_weight_; }
  std::int64_t max_rows() const;     // of a batch on this rank
  std::int64_t max_columns() const;  // of a batch
  /// Columns of all batches together: what an epoch's exchange carries.
  std::int64_t touched() const { return column_starts_.back(); }

 private:
  void cut(const Context& host, Communicator& comm, const Samples& mine, std::int64_t global_batch);
  void find_columns(const Context& host, Communicator& comm, const Samples& mine,
                    std::vector<std::int32_t>& columns);
  void sort_entries(const Samples& mine, const std::vector<std::int32_t>& columns);
  std::int64_t first_row(std::int64_t batch) const { return rows_ * batch / size(); }

  const Context& ctx_;
  const bool intercept_, all_columns_;
  std::int64_t rows_ = 0, features_ = 0;
  double total_weight_ = 0;
  std::vector<float> scales_;
  std::vector<std::int64_t> starts_;         // of a batch's entries, [batches + 1]
  std::vector<std::int64_t> column_starts_;  // of a batch's columns, [batches + 1]
  Buffer<std::int64_t> offsets_, column_offsets_;
  Buffer<std::int32_t> indices_, columns_, entry_rows_;
  Buffer<float> values_, labels_, weights_, dense_, entry_values_;
};

}  // namespace gradmill
