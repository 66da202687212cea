// A factorization on disk (a run's model/ or a checkpoint) and in memory for prediction.
#pragma once

#include <string>
#include <vector>

#include "data/vocabulary.h"
#include "launch/checkpoint.h"
#include "launch/config.h"
#include "models/mf/solver.h"

namespace gradmill {

/// What a stored model needs besides the solver's state.
struct MfModelParts {
  const Vocabulary& users;
  const Vocabulary& items;
  float mean, low, high;
  bool with_seen;  // also store who rated what, for recommendations (model/, not checkpoints)
};

/// Collective. Writes folder parent/name, replacing one that is there.
void write_mf_model(const Context& ctx, const Context& host, Communicator& comm,
                    const std::string& parent, const std::string& name, const CheckpointInfo& info,
                    MfSolver& solver, const MfModelParts& parts);

class MfModel {
 public:
  /// host: a CPU context (ctx itself, if it is one). path: a run's folder, its model/, or a checkpoint. Errors: ErrorKind::input_missing, checkpoint.
  static MfModel load(const Context& ctx, const Context& host, const std::string& path);

  FactorsView view() const;
  const Vocabulary& users() const { return users_; }
  const Vocabulary& items() const { return items_; }
  /// Row of the factor tables of a vocabulary row, and back; -1 stays -1.
  std::int32_t user_row(std::int32_t id) const { return place(user_rows_, id); }
  std::int32_t item_row(std::int32_t id) const { return place(item_rows_, id); }
  std::int32_t user_id(std::int32_t row) const { return place(user_order_, row); }
  std::int32_t item_id(std::int32_t row) const { return place(item_order_, row); }
  /// Host CSR [users, items] of rows that were rated in training; no rows if they were not stored.
  const CsrRatings& seen() const { return seen_; }
  const CheckpointInfo& info() const { return info_; }
  const MfConfig& config() const { return config_; }
  float low() const { return low_; }
  float high() const { return high_; }

 private:
  static std::int32_t place(const std::vector<std::int32_t>& map, std::int32_t row) {
    return map.empty() || row < 0 ? row : map[static_cast<std::size_t>(row)];
  }
  CheckpointInfo info_;
  MfConfig config_;
  Vocabulary users_, items_;
  std::vector<std::int32_t> user_order_, item_order_, user_rows_, item_rows_;
  FactorTable user_table_, item_table_;
  Buffer<float> user_biases_, item_biases_;
  CsrRatings seen_;
  float mean_ = 0, low_ = 0, high_ = 0;
};

}  // namespace gradmill
