#include "data/feature_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/feature_names.h"
#include "data/record_rules.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

// An array of all buckets' weights is faster than looking them up, but must not be much larger than the file
// that the pipeline came from.
constexpr std::int64_t kFewWeights = 1 << 16, kMaxDenseWeights = 1 << 24;

/// The columns that are read, as they are asked for.
class Columns {
 public:
  explicit Columns(const std::vector<ColumnSpec>& found) : found_(found) {
    for (const ColumnSpec& column : found) names_.push_back(column.name);
  }
  const ColumnSpec& found(const std::string& name) const {
    try {
      return found_[find_column("features", names_, name)];
    } catch (const Error& error) {
      fail(ErrorKind::usage, "{}", error.what());
    }
  }
  /// The column in this way; those that are read in the same way are read once.
  int use(ColumnSpec column) {
    column.name = found(column.name).name;
    for (std::size_t c = 0; c < used_.size(); ++c)
      if (used_[c].name == column.name && used_[c].kind == column.kind &&
          used_[c].keep_blanks == column.keep_blanks) {
        used_[c].required |= column.required;
        return static_cast<int>(c);
      }
    used_.push_back(std::move(column));
    return static_cast<int>(used_.size()) - 1;
  }
  std::vector<ColumnSpec>& used() { return used_; }

 private:
  const std::vector<ColumnSpec>& found_;
  std::vector<std::string> names_;
  std::vector<ColumnSpec> used_;
};

std::string find_label(const std::vector<ColumnSpec>& found) {
  for (const char* usual : {"label", "target", "y", "class"})
    for (const ColumnSpec& column : found)
      if (column.name == usual) return usual;
  expect(!found.empty(), ErrorKind::usage, "features: there are no columns");
  return found.back().name;
}

/// One spec for each column instead of "*".
void expand_star(std::vector<FeatureSpec>& specs, const std::vector<std::string>& taken,
                 const std::vector<ColumnSpec>& found, const Columns& columns) {
  std::vector<std::string> named = taken;
  for (const FeatureSpec& spec : specs) {
    if (!spec.column.empty() && spec.column != "*")
      named.push_back(columns.found(spec.column).name);
  }
  std::vector<FeatureSpec> all;
  for (const FeatureSpec& spec : specs) {
    if (spec.column != "*") {
      all.push_back(spec);
      continue;
    }
    for (const ColumnSpec& column : found)
      if (std::find(named.begin(), named.end(), column.name) == named.end()) {
        all.push_back(spec);
        all.back().column = column.name;
      }
  }
  specs = std::move(all);
}

FeaturePlan plan_feature(const FeatureSpec& spec, Columns& columns) {
  const std::string what =
      spec.column.empty() ? std::string("an interaction") : fmt::format("\"{}\"", spec.column);
  FeaturePlan plan;
  std::string kind = spec.kind;
  if (kind == "auto" || kind.empty())
    kind = !spec.columns.empty()                                   ? "interaction"
           : columns.found(spec.column).kind == ColumnKind::number ? "numeric"
                                                                   : "categorical";
  plan.kind = value_named(kFeatureKinds, kind, "kind", what);
  plan.scale = value_named(kNumberScales, spec.scale, "scale", what);
  plan.log1p = spec.log1p;
  plan.tokenizer = value_named(kTokenizers, spec.tokenizer, "tokenizer", what);
  plan.terms = value_named(kTermValues, spec.terms, "terms", what);
  plan.ngrams = spec.ngrams;
  plan.min_count = spec.min_count;
  expect(spec.hash == "spark", ErrorKind::usage, "features: {}: hash = \"{}\"; expected spark",
         what, spec.hash);
  expect(spec.ngrams >= 1 && spec.ngrams <= 16, ErrorKind::usage,
         "features: {}: ngrams = {}; expected 1 to 16", what, spec.ngrams);
  expect(spec.min_count >= 1, ErrorKind::usage, "features: {}: min_count = {}; expected 1 or more",
         what, spec.min_count);
  const bool hashes = plan.kind == FeatureKind::hashed || plan.kind == FeatureKind::text ||
                      plan.kind == FeatureKind::interaction;
  if (hashes) plan.hash_size = spec.hash_size;
  expect(spec.hash_size >= 1 && spec.hash_size <= kMaxFeatures, ErrorKind::usage,
         "features: {}: hash_size = {}; expected 1 to 2147483647", what, spec.hash_size);

  const bool numeric = plan.kind == FeatureKind::numeric;
  if (!spec.missing.empty())
    plan.missing = value_named(kMissingPolicies, spec.missing, "missing", what);
  else
    plan.missing = numeric                                 ? MissingPolicy::mean
                   : plan.kind == FeatureKind::categorical ? MissingPolicy::own
                                                           : MissingPolicy::zero;
  const bool own = plan.missing == MissingPolicy::own;
  const bool averages =
      plan.missing == MissingPolicy::mean || plan.missing == MissingPolicy::indicator;
  expect(numeric ? !own : !averages, ErrorKind::usage,
         "features: {}: missing = \"{}\" is not for {} features", what, spec.missing, kind);
  if (plan.kind == FeatureKind::interaction) {
    expect(spec.columns.size() >= 2 && spec.column.empty(), ErrorKind::usage,
           "features: an interaction has columns = [two or more], and no column");
    for (const std::string& name : spec.columns)
      plan.columns.push_back(columns.use({name, columns.found(name).kind}));
    return plan;
  }
  expect(spec.columns.empty() && !spec.column.empty(), ErrorKind::usage,
         "features: a {} feature has one column, given as column = \"…\"", kind);
  ColumnSpec column{spec.column, numeric ? ColumnKind::number : ColumnKind::text};
  expect(
      !numeric || columns.found(spec.column).kind == ColumnKind::number, ErrorKind::usage,
      "features: {}: kind = \"numeric\", but its first values are texts; use categorical, hashed "
      "or text",
      what);
  column.required = plan.missing == MissingPolicy::fail;
  column.keep_blanks = plan.kind == FeatureKind::text;
  plan.columns = {columns.use(std::move(column))};
  return plan;
}

}  // namespace

PipelinePlan plan_features(std::vector<FeatureSpec> specs, const LabelSpec& label,
                           const std::vector<ColumnSpec>& found) {
  Columns columns(found);
  const ColumnSpec target = columns.found(label.column.empty() ? find_label(found) : label.column);
  std::vector<std::string> taken{target.name};
  if (!label.weight.empty()) taken.push_back(columns.found(label.weight).name);
  if (specs.empty()) specs.emplace_back().column = "*";
  expand_star(specs, taken, found, columns);
  expect(!specs.empty(), ErrorKind::usage, "features: there is no column but the label");
  PipelinePlan plan;
  for (const FeatureSpec& spec : specs) plan.features.push_back(plan_feature(spec, columns));
  plan.columns = std::move(columns.used());
  plan.label = static_cast<int>(plan.columns.size());
  plan.columns.push_back({target.name, target.kind});
  plan.columns.back().required = true;
  plan.columns.back().strip = target.kind == ColumnKind::text ? label.strip : "";
  if (!label.weight.empty()) {
    plan.weight = plan.label + 1;
    plan.columns.push_back({taken[1], ColumnKind::number});
    plan.columns.back().required = plan.columns.back().non_negative = true;
  }
  return plan;
}

float FittedFeature::bucket_weight(std::int32_t bucket) const {
  if (!weights.empty()) return weights[static_cast<std::size_t>(bucket)];
  const auto found = std::lower_bound(documents.begin(), documents.end(),
                                      std::pair<std::int32_t, std::int64_t>{bucket, 0});
  const std::int64_t with = found != documents.end() && found->first == bucket ? found->second : 0;
  return static_cast<float>(
      std::log(static_cast<double>(num_documents + 1) / static_cast<double>(with + 1)));
}

void place_features(FittedPipeline& pipeline) {
  std::int64_t base = 0;
  for (std::size_t f = 0; f < pipeline.features.size(); ++f) {
    const FeaturePlan& plan = pipeline.plan.features[f];
    FittedFeature& fitted = pipeline.features[f];
    fitted.base = base;
    switch (plan.kind) {
      case FeatureKind::numeric:
        fitted.width = plan.missing == MissingPolicy::indicator ? 2 : 1;
        break;
      case FeatureKind::categorical:
        fitted.width =
            fitted.values.size() + (plan.min_count > 1) + (plan.missing == MissingPolicy::own);
        break;
      default:
        fitted.width = plan.hash_size;
    }
    base += fitted.width;
    expect(base <= kMaxFeatures, ErrorKind::usage,
           "features: more than 2147483647 features; reduce hash_size");
    if (plan.terms != TermValue::tfidf || plan.kind != FeatureKind::text) continue;
    const auto seen = static_cast<std::int64_t>(fitted.documents.size());
    if (plan.hash_size > std::max(kFewWeights, std::min(kMaxDenseWeights, seen * 64))) continue;
    std::vector<float> weights(static_cast<std::size_t>(plan.hash_size), fitted.bucket_weight(-1));
    for (const auto& [bucket, count] : fitted.documents)
      weights[static_cast<std::size_t>(bucket)] = fitted.bucket_weight(bucket);
    fitted.weights = std::move(weights);
  }
  pipeline.num_features = base;
}

void append_cross_term(const std::string& column, std::string_view value, std::string& to) {
  to += column;
  to += '=';
  to += value;
}

void refuse_logarithm(const std::string& column, std::int64_t row, double number) {
  fail(ErrorKind::data,
       "column \"{}\", record {}: log1p of {} does not exist; expected numbers above -1", column,
       row + 1, number);
}

}  // namespace gradmill
