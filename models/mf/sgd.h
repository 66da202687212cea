// Biased matrix factorization by stochastic gradient descent over ranks (DSGD).
//
// Ratings lie in a grid of user blocks x item blocks (sgd_blocks.h). A rank owns a range of user
// blocks. In wave s user block i works on item block (i + s) mod G: no two touch the same rows. Before
// the next wave each rank gets the one item block that it lacks, and hands on the one it is done
// with; after G waves, an epoch, every rating was used once and the item blocks are back where they
// began. The blocks, and so the bits, do not depend on the number of ranks or threads.
// Source: Gemulla, Nijkamp, Haas, Sismanis, "Large-scale matrix factorization with distributed
// stochastic gradient descent", KDD'11.
#pragma once

#include "models/mf/sgd_blocks.h"
#include "models/mf/solver.h"

namespace gradmill {

class SgdSolver final : public MfSolver {
 public:
  SgdSolver(const Context& ctx, const Context& host, Communicator& comm, const MfConfig& config,
            std::uint64_t seed, MfSize size, Ratings mine);

  void run_epoch(std::int64_t epoch) override;
  /// Mean squared error (weighted, if there are weights) of the last epoch, each rating before its own update.
  double loss() override { return loss_; }
  FactorsView factors() override;
  const RowBoundaries& user_boundaries() const override { return user_boundaries_; }
  std::span<const std::int32_t> user_order() const override { return user_order_; }
  std::span<const std::int32_t> item_order() const override { return item_order_; }
  SeenRatings seen() override;
  std::vector<std::int64_t> seen_counts() const override {
    return ratings_.user_counts(ctx_, users_.rows());
  }
  void visit_seen_items(const ItemSink& sink) const override;
  std::vector<StateTensor> state() override;
  void restored() override;
  std::string describe() const override;

 private:
  void rotate(std::int32_t shift);
  void gather_items();
  int owner(std::int32_t user_block) const;

  const Context& ctx_;
  const Context& host_;
  Communicator& comm_;
  MfConfig config_;
  MfSize size_;
  float mean_ = 0;
  double loss_ = 0;
  double global_weight_ = 0;  // the ratings' sum of weights, over all ranks
  SgdGrid grid_;
  std::int32_t blocks_ = 1;                     // a side
  std::vector<std::int32_t> block_boundaries_;  // rank r owns user blocks [b[r], b[r + 1])
  RowBoundaries user_boundaries_, item_boundaries_;
  std::vector<std::int32_t> user_order_, item_order_;
  SgdRatings ratings_;
  FactorTable users_, items_;              // my users; all items
  Buffer<float> user_state_, item_state_;  // [rows, 4]: see MfSgdArgs
  Buffer<float> user_biases_, item_biases_;
  Buffer<double> block_loss_;
};

}  // namespace gradmill
