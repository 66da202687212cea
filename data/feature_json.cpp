// features.json: a pipeline as text (docs/formats.md).
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/feature_names.h"
#include "data/feature_plan.h"
#include "data/utf8.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "gradmill features";
constexpr std::int64_t kVersion = 1;

/// A member of a JSON object, with messages that name it.
class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    expect(json.is_object(), ErrorKind::data, "{}: expected an object", where_);
  }
  const Json& at(const char* key) const {
    const auto found = json_.find(key);
    expect(found != json_.end(), ErrorKind::data, "{}: \"{}\" is missing", where_, key);
    return *found;
  }
  std::string text(const char* key) const { return as_text(at(key), key); }
  bool flag(const char* key) const {
    expect(at(key).is_boolean(), ErrorKind::data, "{}: \"{}\" is not true or false", where_, key);
    return at(key).get<bool>();
  }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t greatest) const {
    return as_integer(at(key), key, least, greatest);
  }
  double real(const char* key) const {
    const Json& value = at(key);
    expect(value.is_number(), ErrorKind::data, "{}: \"{}\" is no number", where_, key);
    const double number = value.get<double>();
    expect(std::isfinite(number), ErrorKind::data, "{}: \"{}\" is not finite", where_, key);
    return number;
  }
  const Json& list(const char* key) const {
    expect(at(key).is_array(), ErrorKind::data, "{}: \"{}\" is no list", where_, key);
    return at(key);
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> all;
    for (const Json& value : list(key)) all.push_back(as_text(value, key));
    return all;
  }
  std::vector<std::int64_t> integers(const char* key, std::int64_t least,
                                     std::int64_t greatest) const {
    std::vector<std::int64_t> all;
    for (const Json& value : list(key)) all.push_back(as_integer(value, key, least, greatest));
    return all;
  }
  template <class Choices>
  auto choice(const Choices& choices, const char* key) const {
    return value_named(choices, text(key), key, where_, ErrorKind::data);
  }
  const std::string& where() const { return where_; }

 private:
  std::string as_text(const Json& value, const char* key) const {
    expect(value.is_string(), ErrorKind::data, "{}: \"{}\" is no text", where_, key);
    return value.get<std::string>();
  }
  std::int64_t as_integer(const Json& value, const char* key, std::int64_t least,
                          std::int64_t greatest) const {
    const bool fits =
        value.is_number_integer() &&
        (!value.is_number_unsigned() || value.get<std::uint64_t>() <= std::uint64_t{1} << 62);
    const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
    expect(fits && number >= least && number <= greatest, ErrorKind::data,
           "{}: \"{}\" is no whole number from {} to {}", where_, key, least, greatest);
    return number;
  }
  const Json& json_;
  std::string where_;
};

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostCount = std::int64_t{1} << 60;

Json column_json(const ColumnSpec& column) {
  return {{"name", column.name},
          {"kind", name_of(kColumnKinds, column.kind)},
          {"required", column.required},
          {"non_negative", column.non_negative},
          {"keep_blanks", column.keep_blanks},
          {"strip", column.strip}};
}

ColumnSpec column_from(const Reader& from) {
  ColumnSpec column{from.text("name"), from.choice(kColumnKinds, "kind")};
  column.required = from.flag("required");
  column.non_negative = from.flag("non_negative");
  column.keep_blanks = from.flag("keep_blanks");
  column.strip = from.text("strip");
  return column;
}

Json feature_json(const FeaturePlan& plan) {
  return {{"kind", name_of(kFeatureKinds, plan.kind)},
          {"columns", plan.columns},
          {"scale", name_of(kNumberScales, plan.scale)},
          {"log1p", plan.log1p},
          {"missing", name_of(kMissingPolicies, plan.missing)},
          {"tokenizer", name_of(kTokenizers, plan.tokenizer)},
          {"terms", name_of(kTermValues, plan.terms)},
          {"ngrams", plan.ngrams},
          {"hash", "spark"},
          {"hash_size", plan.hash_size},
          {"min_count", plan.min_count}};
}

FeaturePlan feature_from(const Reader& from, const std::vector<ColumnSpec>& columns,
                         std::int64_t label) {
  FeaturePlan plan;
  plan.kind = from.choice(kFeatureKinds, "kind");
  plan.scale = from.choice(kNumberScales, "scale");
  plan.log1p = from.flag("log1p");
  plan.missing = from.choice(kMissingPolicies, "missing");
  plan.tokenizer = from.choice(kTokenizers, "tokenizer");
  plan.terms = from.choice(kTermValues, "terms");
  plan.ngrams = static_cast<int>(from.integer("ngrams", 1, 16));
  expect(from.text("hash") == "spark", ErrorKind::data, "{}: \"hash\" is not \"spark\"",
         from.where());
  plan.hash_size = from.integer("hash_size", 0, kMost);
  plan.min_count = from.integer("min_count", 1, kMostCount);
  for (const std::int64_t c : from.integers("columns", 0, label - 1))
    plan.columns.push_back(static_cast<int>(c));
  const bool interaction = plan.kind == FeatureKind::interaction;
  const bool hashes =
      interaction || plan.kind == FeatureKind::hashed || plan.kind == FeatureKind::text;
  expect(interaction ? plan.columns.size() >= 2 : plan.columns.size() == 1, ErrorKind::data,
         "{}: {} columns", from.where(), plan.columns.size());
  expect(hashes == (plan.hash_size > 0), ErrorKind::data, "{}: \"hash_size\" is {}", from.where(),
         plan.hash_size);
  const ColumnKind needed =
      plan.kind == FeatureKind::numeric ? ColumnKind::number : ColumnKind::text;
  expect(interaction || columns[static_cast<std::size_t>(plan.columns[0])].kind == needed,
         ErrorKind::data, "{}: the column is of another kind", from.where());
  return plan;
}

Json plan_json(const PipelinePlan& plan) {
  Json columns = Json::array(), features = Json::array();
  for (const ColumnSpec& column : plan.columns) columns.push_back(column_json(column));
  for (const FeaturePlan& feature : plan.features) features.push_back(feature_json(feature));
  return {{"format", kFormat},   {"version", kVersion},   {"columns", columns},
          {"label", plan.label}, {"weight", plan.weight}, {"features", features}};
}

PipelinePlan plan_from(const Reader& from) {
  expect(from.text("format") == kFormat, ErrorKind::data,
         "{}: \"format\" is \"{}\", expected \"{}\"", from.where(), from.text("format"), kFormat);
  const std::int64_t version = from.integer("version", 0, kMost);
  expect(version == kVersion, ErrorKind::data,
         "{}: version {}, but this program reads version {}; train again", from.where(), version,
         kVersion);
  PipelinePlan plan;
  for (const Json& column : from.list("columns"))
    plan.columns.push_back(
        column_from({column, fmt::format("{}: column {}", from.where(), plan.columns.size() + 1)}));
  const auto count = static_cast<std::int64_t>(plan.columns.size());
  const std::int64_t label = from.integer("label", 0, count - 1),
                     weight = from.integer("weight", -1, count - 1);
  plan.label = static_cast<int>(label);
  plan.weight = static_cast<int>(weight);
  expect(weight < 0 ? label + 1 == count : weight == label + 1 && weight + 1 == count,
         ErrorKind::data, "{}: label and weight are not the last columns", from.where());
  expect(weight < 0 || plan.columns.back().kind == ColumnKind::number, ErrorKind::data,
         "{}: the weight is no number", from.where());
  for (const Json& feature : from.list("features"))
    plan.features.push_back(feature_from(
        {feature, fmt::format("{}: feature {}", from.where(), plan.features.size() + 1)},
        plan.columns, label));
  return plan;
}

Json fitted_json(const FeaturePlan& plan, const FittedFeature& fitted) {
  Json json = feature_json(plan);
  if (plan.kind == FeatureKind::numeric || plan.kind == FeatureKind::interaction) {
    Json scalings = Json::array();
    for (const NumberScaling& s : fitted.scalings)
      scalings.push_back({{"shift", s.shift}, {"factor", s.factor}, {"mean", s.mean}});
    json["scalings"] = scalings;
  }
  if (plan.kind == FeatureKind::categorical) {
    Json values = Json::array();
    for (std::int32_t v = 0; v < fitted.values.size(); ++v)
      values.push_back(fitted.values.ids().text(v));
    json["values"] = values;
  }
  if (plan.kind == FeatureKind::text && plan.terms == TermValue::tfidf) {
    Json buckets = Json::array(), counts = Json::array();
    for (const auto& [bucket, count] : fitted.documents) {
      buckets.push_back(bucket);
      counts.push_back(count);
    }
    json["documents"] = fitted.num_documents;
    json["buckets"] = buckets;
    json["bucket_documents"] = counts;
  }
  return json;
}

FittedFeature fitted_from(const Reader& from, const FeaturePlan& plan) {
  FittedFeature fitted;
  if (plan.kind == FeatureKind::numeric || plan.kind == FeatureKind::interaction) {
    for (const Json& json : from.list("scalings")) {
      const Reader scaling(json, from.where() + ": scaling");
      fitted.scalings.push_back(
          {scaling.real("shift"), scaling.real("factor"), scaling.real("mean")});
    }
    expect(fitted.scalings.size() == plan.columns.size(), ErrorKind::data,
           "{}: {} scalings for {} columns", from.where(), fitted.scalings.size(),
           plan.columns.size());
  }
  if (plan.kind == FeatureKind::categorical)
    for (const std::string& value : from.texts("values")) {
      expect(is_utf8(value) && !value.empty() &&
                 fitted.values.add(std::string_view(value)) + 1 == fitted.values.size(),
             ErrorKind::data, "{}: a value is there twice, or is empty", from.where());
    }
  if (plan.kind == FeatureKind::text && plan.terms == TermValue::tfidf) {
    fitted.num_documents = from.integer("documents", 0, kMostCount);
    const auto buckets = from.integers("buckets", 0, plan.hash_size - 1);
    const auto counts = from.integers("bucket_documents", 1, fitted.num_documents);
    expect(buckets.size() == counts.size(), ErrorKind::data, "{}: {} buckets but {} counts",
           from.where(), buckets.size(), counts.size());
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      expect(b == 0 || buckets[b - 1] < buckets[b], ErrorKind::data,
             "{}: the buckets are not ascending", from.where());
      fitted.documents.emplace_back(static_cast<std::int32_t>(buckets[b]), counts[b]);
    }
  }
  return fitted;
}

Json parse(std::string_view text, const std::string& name) {
  Json json = Json::parse(text, nullptr, false);
  expect(!json.is_discarded(), ErrorKind::data, "{}: is no JSON", name);
  return json;
}

}  // namespace

std::string plan_to_json(const PipelinePlan& plan) { return plan_json(plan).dump(); }

PipelinePlan plan_from_json(std::string_view text, const std::string& name) {
  const Json json = parse(text, name);
  return plan_from({json, name});
}

std::string pipeline_to_json(const FittedPipeline& pipeline) {
  Json json = plan_json(pipeline.plan);
  json["classes"] = pipeline.classes;
  for (std::size_t f = 0; f < pipeline.features.size(); ++f)
    json["features"][f] = fitted_json(pipeline.plan.features[f], pipeline.features[f]);
  return json.dump(1) + "\n";
}

FittedPipeline pipeline_from_json(std::string_view text, const std::string& name) {
  const Json json = parse(text, name);
  const Reader from(json, name);
  FittedPipeline pipeline;
  pipeline.plan = plan_from(from);
  pipeline.classes = from.texts("classes");
  for (std::size_t c = 1; c < pipeline.classes.size(); ++c)
    expect(pipeline.classes[c - 1] < pipeline.classes[c], ErrorKind::data,
           "{}: \"classes\" are not sorted", name);
  for (std::size_t f = 0; f < pipeline.plan.features.size(); ++f)
    pipeline.features.push_back(
        fitted_from({from.list("features")[f], fmt::format("{}: feature {}", name, f + 1)},
                    pipeline.plan.features[f]));
  try {
    place_features(pipeline);
  } catch (const Error& error) {
    fail(ErrorKind::data, "{}: {}", name, error.what());
  }
  return pipeline;
}

}  // namespace gradmill
