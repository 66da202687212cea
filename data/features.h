// Feature transforms: records -> sparse samples. Fitted once over all ranks, kept in the model, applied in
// training and prediction alike.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/record_stream.h"
#include "data/sample_stream.h"

namespace gradmill {

/// One [[features]] table of a configuration. Empty strings: the default of the kind.
struct FeatureSpec {
  std::string column;                // or for an interaction:
  std::vector<std::string> columns;  // two or more columns, crossed and hashed
  std::string kind = "auto";  // auto (number: numeric, text: categorical), numeric, categorical,
                              // hashed, text, interaction
  // numeric
  std::string scale = "standard";  // standard, minmax, none
  bool log1p = false;              // log(1 + x) before scaling
  std::string missing = "mean";    // mean, zero, indicator (mean and a column of 0 and 1), fail;
                                   // categorical: own (a value of its own), zero, fail
  // text
  std::string tokenizer = "spark";   // spark (lower-case, split on \s), words (letters and digits)
  std::string hash = "spark";        // spark (murmur3_x86_32, seed 42)
  std::int64_t hash_size = 1 << 18;  // buckets, up to 2^31 - 1
  std::string terms = "count";       // count, binary, tfidf
  int ngrams = 1;                    // terms of 1 .. ngrams tokens
  // categorical
  std::int64_t min_count = 1;  // rarer values share one feature
};

struct LabelSpec {
  std::string column;  // label; empty: "label", "target", "y", "class", else the last column
  std::string weight;  // sample weights; empty: none
};

/// What one rank has seen of its records; merged over ranks it makes the pipeline.
class FeatureFit {
 public:
  FeatureFit(std::vector<FeatureSpec> specs, LabelSpec label, std::vector<ColumnSpec> columns);
  ~FeatureFit();
  FeatureFit(FeatureFit&&) noexcept;
  void add(const RecordChunk& chunk);
  std::string serialize() const;
  /// Errors: ErrorKind::data if ranks saw other columns.
  static class FeaturePipeline merge(const std::vector<std::string>& parts);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class FeaturePipeline {
 public:
  ~FeaturePipeline();
  FeaturePipeline(FeaturePipeline&&) noexcept;
  FeaturePipeline& operator=(FeaturePipeline&&) noexcept;

  std::int64_t num_features() const;
  /// "age", "workclass=Private", "text#417" (a hash bucket), "age missing".
  std::string feature_name(std::int64_t feature) const;
  /// Sorted texts of the label column: class c is label_classes()[c]; empty: labels are numbers.
  const std::vector<std::string>& label_classes() const;
  /// The columns to read, in the order that transform expects: for RecordReadOptions.
  const std::vector<ColumnSpec>& columns() const;
  /// with_labels false: the label column may be absent; labels are then 0.
  void transform(const RecordChunk& records, SampleChunk& samples, int threads,
                 bool with_labels = true) const;

  std::string serialize() const;  // kept in model/ as features.json
  /// Errors: ErrorKind::data naming the field.
  static FeaturePipeline deserialize(std::string_view text, const std::string& name);

 private:
  friend class FeatureFit;
  FeaturePipeline();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Records read and transformed; the pipeline must outlive the stream.
std::unique_ptr<SampleStream> open_record_samples(const std::string& path,
                                                  RecordReadOptions options,
                                                  const FeaturePipeline& pipeline,
                                                  bool with_labels = true);

}  // namespace gradmill
