// A feature pipeline from the inside: what is read, what each transform has learned. Private to data/features*.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/features.h"
#include "data/id_codes.h"
#include "data/tokenizer.h"

namespace gradmill {

enum class FeatureKind : std::uint8_t { numeric, categorical, hashed, text, interaction };
enum class NumberScale : std::uint8_t { standard, minmax, none };
enum class MissingPolicy : std::uint8_t { mean, zero, indicator, own, fail };
enum class TermValue : std::uint8_t { count, binary, tfidf };

/// A FeatureSpec with its columns and choices resolved.
struct FeaturePlan {
  FeatureKind kind = FeatureKind::numeric;
  std::vector<int> columns;  // of the records that are read; one but for interactions
  NumberScale scale = NumberScale::standard;
  bool log1p = false;
  MissingPolicy missing = MissingPolicy::mean;
  TokenizerKind tokenizer = TokenizerKind::spark;
  TermValue terms = TermValue::count;
  int ngrams = 1;
  std::int64_t hash_size = 0;
  std::int64_t min_count = 1;
};

struct PipelinePlan {
  std::vector<ColumnSpec> columns;  // of the features, then label and weight
  int label = -1, weight = -1;
  std::vector<FeaturePlan> features;
};

/// Errors: ErrorKind::usage naming the option or column.
PipelinePlan plan_features(std::vector<FeatureSpec> specs, const LabelSpec& label,
                           const std::vector<ColumnSpec>& found);

/// What is taken from a number and by what it is then multiplied.
struct NumberScaling {
  double shift = 0, factor = 1;
  double mean = 0;  // of the logarithms where log1p; stands for missing values
};

/// Which bucket was in how many documents; sorted.
using BucketCounts = std::vector<std::pair<std::int32_t, std::int64_t>>;

/// What a transform has learned.
struct FittedFeature {
  std::vector<NumberScaling> scalings;     // [columns]; of texts: not used
  IdCodes values{IdColumn::Kind::string};  // categorical: by falling frequency, then by name
  BucketCounts documents;                  // tfidf
  std::int64_t num_documents = 0;
  std::int64_t base = 0, width = 0;  // features [base, base + width); set by place_features
  std::vector<float> weights;  // tfidf: of all buckets if these are few; set by place_features

  /// Spark's IDF: log((documents + 1) / (documents with the bucket + 1)).
  float bucket_weight(std::int32_t bucket) const;
};

struct FittedPipeline {
  PipelinePlan plan;
  std::vector<FittedFeature> features;
  std::vector<std::string> classes;
  std::int64_t num_features = 0;
};

/// Sets base, width and weights of all features. Errors: ErrorKind::usage above 2^31 - 1 features.
void place_features(FittedPipeline& pipeline);

/// The term "column=value" of hashed columns and interactions.
void append_cross_term(const std::string& column, std::string_view value, std::string& to);

/// For messages: a number in row `row` of a column whose logarithm does not exist.
[[noreturn]] void refuse_logarithm(const std::string& column, std::int64_t row, double number);

std::string pipeline_to_json(const FittedPipeline& pipeline);
std::string plan_to_json(const PipelinePlan& plan);
/// Errors: ErrorKind::data "<name>: …" naming the field.
FittedPipeline pipeline_from_json(std::string_view text, const std::string& name);
PipelinePlan plan_from_json(std::string_view text, const std::string& name);

/// Lets FeatureFit make a pipeline.
struct FeaturePipeline::Impl {
  FittedPipeline fitted;
};

}  // namespace gradmill
