// Least, greatest and mean value of a column.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gradmill {

struct ValueRange {
  double min = 0, max = 0, mean = 0;
};

/// Adds up in the order of the rows, so the mean's bits do not depend on how rows come in chunks.
class ValueSum {
 public:
  void add(const std::vector<float>& values) {
    for (const float value : values) {
      sum_ += value;
      min_ = count_ ? std::min(min_, value) : value;
      max_ = count_ ? std::max(max_, value) : value;
      ++count_;
    }
  }
  ValueRange range() const { return {min_, max_, count_ ? sum_ / static_cast<double>(count_) : 0}; }

 private:
  std::int64_t count_ = 0;
  double sum_ = 0;
  float min_ = 0, max_ = 0;
};

/// Least and greatest time.
class TimeRange {
 public:
  void add(const std::vector<std::int64_t>& times) {
    for (const std::int64_t time : times) {
      first = any_ ? std::min(first, time) : time;
      last = any_ ? std::max(last, time) : time;
      any_ = true;
    }
  }
  std::int64_t first = 0, last = 0;

 private:
  bool any_ = false;
};

}  // namespace gradmill
