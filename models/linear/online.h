// Mini-batch optimizers of one process on the CPU, where nothing has to be prepared.
#pragma once

#include "kernels/linear_step/online_step.h"
#include "models/linear/parameters.h"
#include "models/linear/step_rates.h"

namespace gradmill {

/// The same steps as MiniBatchSolver takes, on samples and columns that stay where they are: no copy by batches,
/// no lists of columns, no order by frequency. An online pass over the data is one pass over the memory.
/// state() has MiniBatchSolver's tensors, so each goes on from the other's checkpoints.
class OnlineSolver final : public LinearSolver {
 public:
  /// Whether it can: one process, the CPU alone, one output, sparse rows, sgd without momentum, adagrad or
  /// ftrl, no averages.
  static bool can(const Context& ctx, const Communicator& comm, const LinearConfig& config,
                  const LinearShape& shape, const Samples& samples);
  OnlineSolver(const Context& host, Communicator& comm, const LinearConfig& config,
               std::uint64_t seed, const LinearShape& shape, const Loss& loss, Samples samples,
               std::string what);
  bool run_epoch(std::int64_t epoch) override;
  double loss() override { return loss_; }
  std::vector<std::pair<std::string, double>> progress() const override;
  std::string why_stopped() const override { return {}; }
  LinearParameters parameters() override { return user_.view(); }
  std::vector<StateTensor> state() override;
  void restored() override;
  void warm_started() override;
  std::string describe() const override;

 private:
  std::int64_t batches() const;
  std::int64_t first_row(std::int64_t batch) const { return samples_.rows() * batch / batches(); }
  VectorView<const std::int32_t> rows_of(std::int64_t batch) const;
  double run_step(std::int64_t batch, std::int64_t next, std::int32_t step,
                  const OptimizerStep& numbers, const std::vector<float>& cumulative);
  float weight_of(std::int64_t batch) const;
  float& slot(OnlineCell& cell, std::int64_t s) const { return s == 0 ? cell.first : cell.second; }
  std::int64_t place(std::int64_t j) const;
  void publish();

  const Context& host_;
  Communicator& comm_;
  const LinearConfig config_;
  const std::uint64_t seed_;
  const LinearShape shape_;
  const Loss loss_kind_;
  const std::string what_;
  const Samples samples_;
  const std::vector<std::int32_t> order_;  // of the rows
  const double total_weight_;
  const std::int64_t num_slots_;
  UserParameters user_;
  Buffer<OnlineCell> cells_;
  Buffer<float> margins_;
  Buffer<std::int32_t> touched_;
  // For checkpoints: columns in the order of MiniBatchSolver.
  std::vector<std::int32_t> columns_;
  Buffer<float> saved_parameters_, saved_slots_;
  double loss_ = 0, last_rate_ = 0;
};

}  // namespace gradmill
