// Feature transforms: records -> sparse samples. Fitted once over all ranks, kept in the model, applied in
// training and prediction alike. docs/features.md has the options, with formulas.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/record_stream.h"
#include "data/sample_stream.h"

namespace gradmill {

class ThreadPool;

/// One [[features]] table of a configuration.
struct FeatureSpec {
  std::string column;                // "*": each column that no other table names; or
  std::vector<std::string> columns;  // of an interaction: two or more, crossed and hashed
  std::string kind = "auto";         // auto (number: numeric, text: categorical), numeric,
                                     // categorical, hashed, text, interaction
  // numeric, and the numbers of an interaction
  std::string scale = "standard";  // standard, minmax, none
  bool log1p = false;              // log(1 + x) before scaling
  std::string
      missing;  // numeric: mean (default), zero, indicator (mean, and a feature that is 1), fail;
  // categorical: own (default: a value of its own), zero (no feature), fail; hashed: the same, default zero
  // text
  std::string tokenizer =
      "spark";  // spark (lower-case, split at each \s), words (runs of letters and digits)
  std::string terms = "count";  // count, binary, tfidf
  int ngrams = 1;               // terms of 1 .. ngrams tokens, joined by a blank
  // text, hashed, interaction
  std::string hash = "spark";        // spark (murmur3_x86_32 of the UTF-8 bytes, seed 42)
  std::int64_t hash_size = 1 << 18;  // buckets, up to 2^31 - 1
  // categorical
  std::int64_t min_count =
      1;  // rarer values, and those not seen in training, share one feature if above 1
};

struct LabelSpec {
  std::string column;  // label; empty: "label", "target", "y", "class", else the last column
  std::string weight;  // sample weights; empty: none
  std::string strip;   // characters taken off the end of a label of text (UCI Adult: ".")
};

/// Features [first, first + count) that one transform makes.
struct FeatureRange {
  std::string name;  // of its columns: "age", "country*device"
  std::int64_t first = 0, count = 0;
  bool numeric = false;  // else of each record one or several of them are there
};

class FeaturePipeline;

/// What one rank has seen of its records; merged over ranks it makes the pipeline.
class FeatureFit {
 public:
  /// `found`: the columns that there are (RecordStream::columns of a stream that reads all). No specs: one
  /// for "*". Errors: ErrorKind::usage naming the option or column.
  FeatureFit(std::vector<FeatureSpec> specs, LabelSpec label, const std::vector<ColumnSpec>& found);
  ~FeatureFit();
  FeatureFit(FeatureFit&&) noexcept;

  /// The columns to read (RecordReadOptions::columns), in the order that add expects.
  const std::vector<ColumnSpec>& columns() const;
  void add(const RecordChunk& chunk, int threads = 1);
  std::string serialize() const;
  /// One part a rank, in any order and of any cut of the data: all sums are exact, so the pipeline is the
  /// same to the bit. Errors: ErrorKind::data if ranks saw other columns, or there are no records.
  static FeaturePipeline merge(const std::vector<std::string>& parts);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a rank does: finds the columns, reads its part and fits.
FeatureFit fit_features(const std::string& path, RecordReadOptions options,
                        const std::vector<FeatureSpec>& specs, const LabelSpec& label);

class FeaturePipeline {
 public:
  ~FeaturePipeline();
  FeaturePipeline(FeaturePipeline&&) noexcept;
  FeaturePipeline& operator=(FeaturePipeline&&) noexcept;

  std::int64_t num_features() const;
  /// "age", "workclass=Private", "text#417" (a hash bucket), "age missing", "workclass other".
  std::string feature_name(std::int64_t feature) const;
  /// Ascending; together they are all features.
  std::vector<FeatureRange> ranges() const;
  /// Sorted texts of the label column: class c is label_classes()[c]; empty: labels are numbers.
  const std::vector<std::string>& label_classes() const;
  /// The columns to read, in the order that transform expects: for RecordReadOptions.
  std::vector<ColumnSpec> columns(bool with_labels = true) const;
  /// with_labels false: records without the columns of label and weight; labels are then 0.
  /// Errors: ErrorKind::data naming column and row for a number that has no logarithm or no float.
  void transform(const RecordChunk& records, SampleChunk& samples, ThreadPool& pool,
                 bool with_labels = true) const;
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

/// Records read and transformed; the pipeline must outlive the stream. options.columns is not looked at.
std::unique_ptr<SampleStream> open_record_samples(const std::string& path,
                                                  RecordReadOptions options,
                                                  const FeaturePipeline& pipeline,
                                                  bool with_labels = true);

}  // namespace gradmill
