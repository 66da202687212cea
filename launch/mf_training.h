// `gradmill train mf`: ALS, iALS and SGD share this loop.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dist/world.h"
#include "launch/options.h"
#include "runtime/log.h"

namespace gradmill {

/// Names and values of one epoch, in the order to show them: "loss", "rmse", "ndcg@10", …
using Metrics = std::vector<std::pair<std::string, double>>;

/// Which metric decides what the best model is, and how long ago it was found.
class BestMetric {
 public:
  /// name: as in Metrics; empty: nothing is measured, the last model counts as the best.
  BestMetric(std::string name, double min_improvement)
      : name_(std::move(name)), min_improvement_(min_improvement) {}
  /// True if this epoch is the best so far.
  bool update(std::int64_t epoch, const Metrics& metrics);
  const std::string& name() const { return name_; }
  std::int64_t epoch() const { return epoch_; }  // -1: none yet
  int since() const { return since_; }           // evaluations since the best
  double value() const { return value_; }
  /// What a checkpoint keeps of it, and back.
  void save(std::map<std::string, double>& state) const;
  void restore(const std::map<std::string, double>& state);

 private:
  std::string name_;
  double min_improvement_;
  std::int64_t epoch_ = -1;
  int since_ = 0;
  double value_ = 0;
};

/// Collective; returns the exit code. Errors: as its parts.
int train_mf(const Options& options, World& world, Log& log);

}  // namespace gradmill
