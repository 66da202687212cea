// Statistics of samples.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "data/sample_stream.h"
#include "data/value_range.h"

namespace gradmill {

struct SampleSummary {
  static constexpr std::size_t kMaxClasses = 1000;
  struct LabelCount {
    double label = 0;
    std::int64_t rows = 0;
    bool operator==(const LabelCount&) const = default;
  };
  std::int64_t rows = 0, entries = 0;
  std::int64_t num_features = 0;  // declared, or the largest index + 1
  bool has_weights = false;
  ValueRange label, value, weight;
  ValueRange row_entries;           // entries of a row
  std::vector<LabelCount> classes;  // ascending; empty if there are more than kMaxClasses labels
};

class SampleSum {
 public:
  void add(const SampleChunk& chunk) {
    labels_.add(chunk.labels);
    values_.add(chunk.values);
    weights_.add(chunk.weights);
    has_weights_ |= !chunk.weights.empty();
    for (std::size_t r = 0; r < chunk.labels.size(); ++r) {
      const std::int64_t entries = chunk.offsets[r + 1] - chunk.offsets[r];
      least_ = rows_ ? std::min(least_, entries) : entries;
      most_ = std::max(most_, entries);
      ++rows_;
      if (entries > 0)
        features_ = std::max<std::int64_t>(
            features_, chunk.indices[static_cast<std::size_t>(chunk.offsets[r + 1] - 1)] + 1ll);
      if (classes_.size() <= SampleSummary::kMaxClasses) ++classes_[chunk.labels[r]];
    }
    entries_ += chunk.nnz();
  }

  std::int64_t rows() const { return rows_; }
  bool has_weights() const { return has_weights_; }

  SampleSummary summary() const {
    SampleSummary s{rows_,
                    entries_,
                    features_,
                    has_weights_,
                    labels_.range(),
                    values_.range(),
                    weights_.range(),
                    {},
                    {}};
    if (rows_ > 0)
      s.row_entries = {static_cast<double>(least_), static_cast<double>(most_),
                       static_cast<double>(entries_) / static_cast<double>(rows_)};
    if (classes_.size() <= SampleSummary::kMaxClasses)
      for (const auto& [label, rows] : classes_) s.classes.push_back({label, rows});
    return s;
  }

 private:
  std::int64_t rows_ = 0, entries_ = 0, features_ = 0, least_ = 0, most_ = 0;
  bool has_weights_ = false;
  ValueSum labels_, values_, weights_;
  std::map<float, std::int64_t> classes_;
};

}  // namespace gradmill
