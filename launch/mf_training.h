// `gradmill train mf`: the alternating and the SGD procedure share this loop.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "dist/world.h"
#include "launch/mf_data.h"
#include "launch/options.h"
#include "models/mf/evaluate.h"

namespace gradmill {

/// Metrics of one epoch by name ("loss", "rmse", "ndcg@10", …).
using Metrics = std::map<std::string, double>;

/// Which metric decides, and what the best so far is.
class BestMetric {
 public:
  /// name: of train.metric, resolved (not "auto"); empty if there is nothing to measure.
  BestMetric(std::string name, double min_improvement) : name_(std::move(name)), min_improvement_(min_improvement) {}
  /// True if these metrics are the best so far (always, if there is nothing to measure).
  bool update(std::int64_t epoch, double value);
  const std::string& name() const { return name_; }
  std::int64_t epoch() const { return epoch_; }
  int since() const { return since_; }  // evaluations since the best
  double value() const { return value_; }
  void restore(std::int64_t epoch, int since, double value);

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
