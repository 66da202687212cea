// A rank's samples as mini-batches that are the same in every epoch, on the solver's device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "kernels/linear_step/linear_step.h"
#include "models/linear/batch_store.h"
#include "models/linear/exchange_plan.h"
#include "models/linear/samples.h"

namespace gradmill {

/// Rows are shuffled once by the seed and cut into as many batches on every rank; so what a batch needs
/// beside its rows, the columns that it touches on any rank and their entries, is made once. An epoch
/// permutes the batches.
class MiniBatches {
 public:
  struct Options {
    bool intercept = true;
    std::int64_t global_batch = 256;  // rows of a batch, all ranks' together
    std::string exchange = "auto";
    std::uint64_t seed = 1;
    std::int64_t device_bytes =
        0;  // for the batches on a device; 0: three quarters of what is free
  };
  /// Collective.
  MiniBatches(const Context& ctx, const Context& host, Communicator& comm, Samples mine,
              const Options& options);

  struct Batch {
    std::int64_t index = 0, first_row = 0;
    SampleMatrix matrix;
    VectorView<const float> labels, weights;
    BatchColumns columns;          // that this rank's gradient has
    std::int64_t num_columns = 0;  // their number; of dense rows, too
    float scale = 0;               // 1 / the weight of all ranks' samples in it
    // With exchange "sparse" or "sharded" and sparse rows; see ExchangePlan.
    VectorView<const std::int32_t> updated, part_offsets, parts, served;
  };
  std::int64_t size() const { return static_cast<std::int64_t>(scales_.size()); }
  /// Valid for work that is enqueued before the next call. next: what will be asked for then, or -1.
  Batch batch(std::int64_t index, std::int64_t next);

  std::int64_t rows() const { return rows_; }
  bool is_dense() const { return dense_ >= 0; }
  bool streams() const { return store_.streams(); }
  double total_weight() const { return total_weight_; }
  std::int64_t max_rows() const;                                       // of a batch on this rank
  std::int64_t max_columns() const;                                    // of a batch's gradient
  std::int64_t max_received() const { return plan_.parts.longest(); }  // rows of a batch's gradient
  const ExchangePlan& plan() const { return plan_; }

 private:
  void cut(const Context& host, Communicator& comm, const Samples& mine, std::int64_t global_batch);
  BatchLists find_columns(const Context& host, const Samples& mine) const;
  void add_dense(const Samples& mine);
  void add_sparse(Samples& mine);
  void add_entries(const Samples& mine);
  void add_lists();
  std::int64_t first_row(std::int64_t batch) const { return rows_ * batch / size(); }
  /// Where batches begin in an array that has `each` elements a row and `more` a batch.
  std::vector<std::int64_t> row_starts(std::int64_t each, std::int64_t more = 0) const;

  const Context& ctx_;
  const bool intercept_;
  std::int64_t rows_ = 0, features_ = 0;
  double total_weight_ = 0;
  std::vector<float> scales_;
  std::vector<std::int64_t> starts_;  // of a batch's entries, [batches + 1]
  ExchangePlan plan_;
  BatchStore store_;
  Buffer<float> nothing_;
  // Arrays of the store; -1: there is none.
  int labels_ = -1, weights_ = -1, dense_ = -1, offsets_ = -1, indices_ = -1, values_ = -1,
      columns_ = -1, column_offsets_ = -1, entry_rows_ = -1, entry_values_ = -1, updated_ = -1,
      part_offsets_ = -1, parts_ = -1, served_ = -1;
};

}  // namespace gradmill
