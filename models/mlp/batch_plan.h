// Which rows make which batch: a pure function of seed, epoch and step, the same rows for any number of ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "models/mlp/rows.h"

namespace gradmill {

/// An epoch is a keyed permutation of all ranks' rows (rank after rank); batch s is the next global_batch of it.
class BatchPlan {
 public:
  /// Collective. rows: this rank's; must outlive the plan. Errors: ErrorKind::data if no rank has any.
  BatchPlan(const Context& host, Communicator& comm, const MlpRows& rows, std::int64_t global_batch,
            std::uint64_t seed);

  std::int64_t steps_per_epoch() const {
    return (global_rows_ + global_batch_ - 1) / global_batch_;
  }
  /// The weight of each step's samples, of all ranks; collective if some rank has weights.
  std::vector<double> step_weights(std::int64_t epoch) const;

  /// This rank's rows of a batch, and their places in it.
  struct Share {
    std::vector<std::int64_t> rows;
    std::vector<std::int32_t> positions;
  };
  void choose(std::int64_t epoch, std::int64_t step, Share& share) const;
  std::int64_t rows_of_step(std::int64_t step) const;  // of all ranks

 private:
  const Context& host_;
  Communicator& comm_;
  const MlpRows& rows_;
  const std::int64_t global_batch_;
  const std::uint64_t seed_;
  std::int64_t global_rows_ = 0, first_row_ = 0;
  bool weighted_ = false;  // on any rank
};

}  // namespace gradmill
