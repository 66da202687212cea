// Which metric decides what the best model of a run is, and how long ago it was found.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "launch/trainee.h"

namespace gradmill {

class BestMetric {
 public:
  /// An empty name: nothing is measured, the last model counts as the best.
  BestMetric(DecidingMetric metric, double min_improvement)
      : metric_(std::move(metric)), min_improvement_(min_improvement) {}
  /// True if this epoch is the best so far.
  bool update(std::int64_t epoch, const Metrics& metrics);
  const std::string& name() const { return metric_.name; }
  std::int64_t epoch() const { return epoch_; }  // -1: none yet
  int since() const { return since_; }           // evaluations since the best
  double value() const { return value_; }
  /// What a checkpoint keeps of it, and back.
  void save(std::map<std::string, double>& state) const;
  void restore(const std::map<std::string, double>& state);

 private:
  DecidingMetric metric_;
  double min_improvement_;
  std::int64_t epoch_ = -1;
  int since_ = 0;
  double value_ = 0;
};

}  // namespace gradmill
