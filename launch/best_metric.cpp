#include "launch/best_metric.h"

#include <algorithm>
#include <cmath>

namespace gradmill {

bool BestMetric::update(std::int64_t epoch, const Metrics& metrics) {
  if (metric_.name.empty()) {
    epoch_ = epoch;
    return true;
  }
  const auto found = std::find_if(metrics.begin(), metrics.end(),
                                  [&](const auto& m) { return m.first == metric_.name; });
  if (found == metrics.end()) return false;
  const double value = found->second, margin = min_improvement_ * std::abs(value_);
  const bool better =
      epoch_ < 0 || (metric_.smaller_is_better ? value < value_ - margin : value > value_ + margin);
  if (!better) {
    ++since_;
    return false;
  }
  epoch_ = epoch;
  value_ = value;
  since_ = 0;
  return true;
}

void BestMetric::save(std::map<std::string, double>& state) const {
  state["best_epoch"] = static_cast<double>(epoch_);
  state["best_value"] = value_;
  state["evaluations_since_best"] = since_;
}

void BestMetric::restore(const std::map<std::string, double>& state) {
  auto get = [&](const char* key, double otherwise) {
    return state.contains(key) ? state.at(key) : otherwise;
  };
  epoch_ = static_cast<std::int64_t>(get("best_epoch", -1));
  value_ = get("best_value", 0);
  since_ = static_cast<int>(get("evaluations_since_best", 0));
}

}  // namespace gradmill
