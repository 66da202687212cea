// Quality of a factorization on held-out ratings, exact over all ranks.
#pragma once

#include <cstdint>

#include "models/mf/solver.h"

namespace gradmill {

struct RatingMetrics {
  double rmse = 0, mae = 0;
  std::int64_t ratings = 0;
  bool any() const { return ratings > 0; }
};

/// At cut-off k, over users with at least one held-out item that the model knows:
///   precision = hits / k, recall = hits / held-out items, ndcg = DCG / ideal DCG (binary gains,
///   1 / log2(position + 1)), map = mean of precision at each hit / min(k, held-out items).
struct RankingMetrics {
  double precision = 0, recall = 0, ndcg = 0, map = 0;
  std::int64_t users = 0;
};

/// Ids as numbered by the caller to rows of the solver's tables; -1 stays -1.
Ratings to_solver_rows(const MfSolver& solver, Ratings ratings);

/// Held-out ratings of one rank: those of its own users, in rows of the factor tables (user -1 or
/// item -1: not in the training data; such users live on rank 0).
class HeldOut {
 public:
  /// Collective. boundaries: which users live on which rank; ratings: any rank's.
  HeldOut(const Context& ctx, const Context& host, Communicator& comm,
          const RowBoundaries& boundaries, Ratings ratings);

  /// Collective. Predictions are clipped to [low, high]. Unknown ids fall back to what is known.
  RatingMetrics rating_metrics(const FactorsView& factors, float low, float high) const;
  /// Collective. Ranks all items but the user's training items (seen).
  RankingMetrics ranking_metrics(const FactorsView& factors, CsrView<const float> seen,
                                 std::int32_t cut_off) const;

  std::int64_t unknown() const {
    return unknown_;
  }  // held-out ratings with an unknown id, all ranks

 private:
  const Context& ctx_;
  const Context& host_;
  Communicator& comm_;
  std::int64_t first_user_ = 0, users_ = 0, unknown_ = 0;
  Buffer<std::int32_t> user_ids_, item_ids_;  // users local to this rank
  Buffer<float> values_, weights_;
  CsrRatings by_user_;  // host, known pairs only
};

}  // namespace gradmill
