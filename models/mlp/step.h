// One step of training: what is enqueued between a batch and the parameters that it changes.
#pragma once

#include <optional>
#include <vector>

#include "kernels/losses.h"
#include "kernels/optimizer_step/optimizer_step.h"
#include "models/mlp/batch_ring.h"
#include "models/mlp/config.h"
#include "models/mlp/embedding_table.h"
#include "models/mlp/forward.h"
#include "models/mlp/network.h"
#include "runtime/replay.h"

namespace gradmill {

/// Parameters, optimizer and everything a step writes. The host only enqueues: what depends on values (a loss that is
/// not finite, the norm that a gradient is clipped to, counters) is decided on the device (StepState).
class MlpStep {
 public:
  struct Sizes {
    std::int64_t rows, piece_rows;  // of a batch, and of the pieces that it is computed in
    std::int64_t entries;           // of a batch's bags
  };
  MlpStep(const Context& ctx, Communicator& comm, const MlpConfig& config, std::uint64_t seed,
          const MlpShape& shape, const MlpColumns& columns, const Sizes& sizes);
  ~MlpStep();

  /// Collective, but for its ranks' own work nothing waits (several ranks with embeddings: see EmbeddingTable::sum).
  void run(const MlpBatch& batch);
  MlpNetwork& network() { return network_; }
  MlpTables predicting_tables();
  /// What predictions are made with, and their memory, which the next step overwrites.
  VectorView<float> predicting_parameters() {
    return averages_.empty() ? network_.parameters().values() : averages_.view();
  }
  MlpPredictSpace predict_space() { return {input_.view(), margins_.view()}; }

  /// Of the epoch that begins.
  void clear_sums();
  /// Waits for what was enqueued.
  std::vector<double> fetch_state();
  /// A number of the state as far as the device has come, without waiting.
  double glimpse(int number) const;
  void add_state(std::vector<StateTensor>& tensors);
  void add_model(std::vector<StateTensor>& tensors);
  void warm_started();

  const MlpArchitecture& architecture() const { return network_.architecture(); }
  bool has_embeddings() const { return embedding_.has_value(); }
  std::int64_t bytes_exchanged() const;
  const Replay& replay() const { return replay_; }

 private:
  MlpTables tables();
  void take_lamb_step(const OptimizerStepArgs& step);
  void make_optimizer();
  void enqueue(const MlpBatch& batch);
  void compute_gradients(const MlpBatch& batch);
  void decide(const MlpBatch& batch);
  void change_parameters(const MlpBatch& batch);
  EmbeddingTable::Options table_options(bool wide) const;
  /// Of the embeddings: its columns of the input's gradient.
  MatrixView<const float> table_gradient(std::int64_t rows);
  OptimizerStep optimizer() const;
  bool sums_embeddings() const { return comm_.world_size() > 1 || config_.clip_norm > 0; }
  MatrixView<float> margins(std::int64_t rows) {
    return margins_.matrix(rows, shape_.outputs, shape_.outputs);
  }
  MatrixView<float> input(std::int64_t rows) {
    return input_.matrix(rows, architecture().inputs, architecture().inputs);
  }
  MatrixView<float> embedding_gradient(std::int64_t rows) {
    const std::int64_t cols = architecture().inputs - columns_.dense;
    return embedding_gradient_.matrix(rows, cols, cols);
  }

  const Context& ctx_;
  Communicator& comm_;
  const MlpConfig& config_;
  const MlpShape& shape_;
  const MlpColumns& columns_;
  const Loss loss_kind_;
  MlpNetwork network_;
  std::optional<EmbeddingTable> embedding_, wide_;
  Buffer<float> input_, margins_, embedding_gradient_, slots_, averages_;
  Buffer<double> loss_, state_;
  Buffer<std::uint8_t> frozen_;
  Buffer<std::int64_t> tensors_, chunks_;  // of LAMB
  std::int64_t num_chunks_ = 0;
  const bool trains_embedding_, trains_wide_;
  Buffer<std::int32_t> ticket_;
  double* report_;  // pinned, a copy of state_ by each step
  Replay replay_;
};

}  // namespace gradmill
