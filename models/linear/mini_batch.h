// Mini-batch optimizers of linear models.
#pragma once

#include <array>

#include "models/linear/gradient_exchange.h"
#include "models/linear/parameters.h"

namespace gradmill {

class MiniBatchSolver final : public LinearSolver {
 public:
  MiniBatchSolver(const Context& ctx, const Context& host, Communicator& comm,
                  const LinearConfig& config, std::uint64_t seed, const LinearShape& shape,
                  const Loss& loss, Samples mine, std::vector<std::int32_t> order,
                  std::string what);
  bool run_epoch(std::int64_t epoch) override;
  double loss() override { return loss_; }
  std::vector<std::pair<std::string, double>> progress() const override;
  std::string why_stopped() const override { return {}; }
  LinearParameters parameters() override { return user_.view(); }
  std::vector<StateTensor> state() override;
  void restored() override {}
  void warm_started() override;
  std::string describe() const override;

 private:
  void run_step(const MiniBatches::Batch& batch, std::int32_t step, const OptimizerStep& numbers);
  void publish();
  MatrixView<float> table(Buffer<float>& buffer) const {
    return buffer.matrix(shape_.num_features + 1, shape_.outputs, stride_);
  }
  MatrixView<float> slots() {
    const std::int64_t cols = num_slots_ * shape_.outputs;
    return slots_.matrix(owned_.size(), cols, cols);
  }
  MatrixView<float> own_averages() {
    return averages_.empty() ? MatrixView<float>{}
                             : table(averages_).rows_slice(owned_.begin, owned_.size());
  }

  const Context& ctx_;
  Communicator& comm_;
  const LinearConfig config_;
  const std::uint64_t seed_;
  const LinearShape shape_;
  const Loss loss_kind_;
  const std::string what_;
  MiniBatches batches_;
  GradientExchange exchange_;
  const RowRange owned_;  // rows of parameters whose state this rank has
  UserParameters user_;
  const std::int64_t stride_, num_slots_;
  Buffer<float> parameters_, slots_, averages_, accumulator_, slopes_, row_losses_, rates_;
  Buffer<std::int32_t> seen_;
  Buffer<double> total_;
  double loss_ = 0, last_rate_ = 0;
};

}  // namespace gradmill
