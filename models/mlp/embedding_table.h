// A table of embeddings with its optimizer, the same on every rank.
#pragma once

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "kernels/embedding/embedding.h"
#include "kernels/step_control/step_control.h"
#include "models/state_tensor.h"
#include "runtime/buffer.h"

namespace gradmill {

class EmbeddingTable {
 public:
  struct Options {
    std::string name;
    std::int64_t rows = 0, dim = 0;
    bool row_wise = false;    // row-wise Adagrad; else `optimizer`, lazily
    OptimizerStep optimizer;  // its kind and momentum decide the slots
    float limit = 0;          // rows begin uniform in [-limit, limit)
    float average_decay = 0;  // of a moving average of the rows; 0: none
    std::uint32_t draw = 0;   // tells tables apart
  };
  EmbeddingTable(const Context& ctx, Communicator& comm, Options options, std::uint64_t seed);

  /// Room for batches of so many entries, so that a step on one rank allocates nothing.
  void reserve(std::int64_t max_entries);

  /// The averages as of now, or the rows if there are none.
  MatrixView<float> averages(VectorView<const double> state);
  /// Averages begin at the rows as they are.
  void restart_averages();
  MatrixView<float> values() { return table_.matrix(options_.rows, options_.dim, options_.dim); }
  /// The optimizer's step with gradient [B, F dim] of what was looked up, as `state` (StepState) says; one rank
  /// only.
  void update(const EmbeddingBags& bags, MatrixView<const float> gradient,
              const OptimizerStep& optimizer, VectorView<const double> state);

  /// The same in parts, on any number of ranks: sums of the gradient by row, of all ranks' batches, exchanged as
  /// the rows that occur; collective. Several ranks: waits for the device, to learn how many rows these are.
  void sum(const EmbeddingBags& bags, MatrixView<const float> gradient);
  /// What sum() made.
  StepControlArgs::Part sums() { return {sums_.view(), count_.view(), options_.dim}; }
  void apply(const OptimizerStep& optimizer, VectorView<const double> state);

  /// What predictions use; rows, averages and the optimizer's slots.
  void add_model(std::vector<StateTensor>& tensors, VectorView<const double> state);
  void add_state(std::vector<StateTensor>& tensors);
  std::int64_t bytes_exchanged() const { return bytes_exchanged_; }

 private:
  void average(const EmbeddingUpdateArgs& args);
  void sort(const EmbeddingBags& bags);
  void add_up(const EmbeddingBags& bags, MatrixView<const float> gradient);
  EmbeddingUpdateArgs sorted_args(const EmbeddingBags& bags, MatrixView<const float> gradient);
  void step_with(EmbeddingUpdateArgs args, const OptimizerStep& optimizer,
                 VectorView<const double> state);

  const Context& ctx_;
  Communicator& comm_;
  const Options options_;
  const std::int64_t slot_columns_;
  Buffer<float> table_, slots_, averages_;
  Buffer<std::int32_t> seen_, averaged_at_;
  // Entries of a batch by row.
  Buffer<std::int32_t> ids_, order_, bag_of_;
  Buffer<std::int64_t> starts_, count_;
  // Sums [count_ of summed_ at most, dim] of the rows ids_.
  std::int64_t summed_ = 0;
  Buffer<float> sums_, all_sums_;
  Buffer<std::int32_t> counting_, all_ids_;  // counting_: 0, 1, 2, ...
  Buffer<std::int64_t> counting_starts_;
  std::int64_t bytes_exchanged_ = 0;
};

}  // namespace gradmill
