// Alternating least squares, explicit (ALS-WR with biases) and implicit (iALS), over ranks.
//
// Every rank owns a contiguous share of user rows and of item rows, cut so that the ratings are
// balanced. A half-step solves the own rows of one side against the other side's factors; then the
// ranks exchange what they solved. Two ways, chosen by the bytes that they move in an epoch:
//   gather  factors of both sides are copied to every rank (all-gather after each half-step);
//   reduce  user factors stay where they are; for the item side every rank forms partial normal
//           equations from its own users, and these are reduce-scattered before solving.
#pragma once

#include "kernels/normal_equations/normal_equations.h"
#include "models/mf/solver.h"

namespace gradmill {

class AlsSolver final : public MfSolver {
 public:
  AlsSolver(const Context& ctx, const Context& host, Communicator& comm, const MfConfig& config,
            std::uint64_t seed, MfSize size, Ratings mine);

  void run_epoch(std::int64_t epoch) override;
  /// Explicit: mean squared error over the training ratings. Implicit: the objective of Hu et al.
  /// without its regularization, per rating. Both over a fixed sample of at most 2^18 ratings.
  double loss() override;
  FactorsView factors() override;
  const RowBoundaries& user_boundaries() const override { return user_boundaries_; }
  std::span<const std::int32_t> user_order() const override { return {}; }
  std::span<const std::int32_t> item_order() const override { return {}; }
  SeenRatings seen() override { return {by_user_.view(), {}}; }
  std::vector<std::int64_t> seen_counts() const override;
  void visit_seen_items(const ItemSink& sink) const override;
  std::vector<StateTensor> state() override;
  void restored() override;
  std::string describe() const override;

 private:
  struct Side {
    FactorTable factors;                          // all rows, or only my users (reduce)
    Buffer<float> biases;                         // one a row of factors, or empty
    std::int64_t rows = 0, first = 0, count = 0;  // global rows; this rank's share
    std::int64_t held_first = 0;                  // global row of factors' row 0
    const RowBoundaries* boundaries = nullptr;

    MatrixView<float> mine() { return factors.rows_view(first - held_first, count); }
    VectorView<float> my_biases() {
      return biases.empty() ? VectorView<float>{} : biases.view().slice(first - held_first, count);
    }
  };

  void load(Ratings mine);
  void take_sample(std::int64_t global_ratings);
  AlsWeights weights(const Side& other) const;
  MatrixView<const float> base(Side& other);
  void solve(const CsrRatings& ratings, Side& other, Side& side, double done_before);
  void gather(Side& side);
  void reduce_items();

  const Context& ctx_;
  const Context& host_;
  Communicator& comm_;
  MfConfig config_;
  bool implicit_, cg_, reduce_ = false;
  float mean_ = 0;
  RowBoundaries user_boundaries_, item_boundaries_;
  Side users_, items_;
  CsrRatings by_user_;  // [my users, items]
  CsrRatings by_item_;  // gather: [my items, users]; reduce: [items, my users]
  Buffer<float> gram_;
  Buffer<std::int32_t> failures_;
  std::int64_t empty_items_ =
      0;  // of the rows that this rank solves by reduce: they count as failures
  Buffer<std::int32_t> sample_users_, sample_items_;
  Buffer<float> sample_targets_, sample_confidence_, sample_zeros_;
  double sample_share_ = 1;  // sampled / all ratings
  std::int64_t global_ratings_ = 0;
};

}  // namespace gradmill
