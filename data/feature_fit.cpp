// What a feature pipeline learns from records: exact sums and counts, so that their order means nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "data/exact_sum.h"
#include "data/feature_plan.h"
#include "data/murmur3.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

using Json = nlohmann::json;

struct NumberStatistics {
  std::int64_t count = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  ExactSum sum, squares;

  void add(double number) {
    ++count;
    least = std::min(least, number);
    greatest = std::max(greatest, number);
    sum.add(number);
    squares.add_square(number);
  }
  void add(const NumberStatistics& other) {
    count += other.count;
    least = std::min(least, other.least);
    greatest = std::max(greatest, other.greatest);
    sum.add(other.sum);
    squares.add(other.squares);
  }
  NumberScaling scaling(NumberScale scale) const {
    NumberScaling scaling;
    if (count == 0) return scaling;
    const auto n = static_cast<long double>(count);
    const long double mean = sum.value() / n;
    scaling.mean = static_cast<double>(mean);
    double width = 1;
    if (scale == NumberScale::standard) {
      scaling.shift = scaling.mean;
      const long double variance = squares.value() / n - mean * mean;
      width = least == greatest ? 0 : static_cast<double>(std::sqrt(std::max(variance, 0.0L)));
    } else if (scale == NumberScale::minmax) {
      scaling.shift = least;
      width = greatest - least;
    }
    scaling.factor = width > 0 ? 1 / width : 1;
    return scaling;
  }
};

/// Values and how often each was seen, in the order of their first appearance.
struct ValueCounts {
  IdCodes values{IdColumn::Kind::string};
  std::vector<std::int64_t> counts;

  void add(std::string_view value, std::int64_t times) {
    const auto code = static_cast<std::size_t>(values.add(value));
    if (code == counts.size()) counts.push_back(0);
    counts[code] += times;
  }
};

struct FeatureStatistics {
  std::vector<NumberStatistics> numbers;  // [columns]
  ValueCounts values;
  std::unordered_map<std::int32_t, std::int64_t> documents;  // that have a bucket
  std::int64_t num_documents = 0;
};

void add_numbers(const PipelinePlan& plan, const FeaturePlan& feature, const RecordChunk& chunk,
                 FeatureStatistics& statistics) {
  for (std::size_t i = 0; i < feature.columns.size(); ++i) {
    const auto c = static_cast<std::size_t>(feature.columns[i]);
    if (chunk.columns[c].kind != ColumnKind::number) continue;
    for (std::int64_t row = 0; row < chunk.rows; ++row) {
      const double number = chunk.columns[c].numbers[static_cast<std::size_t>(row)];
      if (std::isnan(number)) continue;
      if (feature.log1p && number <= -1)
        refuse_logarithm(plan.columns[c].name, chunk.first_row + row, number);
      statistics.numbers[i].add(feature.log1p ? std::log1p(number) : number);
    }
  }
}

void add_values(const RecordColumn& column, std::int64_t rows, ValueCounts& counts) {
  for (std::int64_t row = 0; row < rows; ++row)
    if (const std::string_view text = column.texts.text(row); !text.empty()) counts.add(text, 1);
}

void add_documents(const FeaturePlan& feature, const RecordColumn& column, std::int64_t rows,
                   FeatureStatistics& statistics) {
  Tokenizer tokenizer(feature.tokenizer);
  std::vector<std::int32_t> buckets;
  for (std::int64_t row = 0; row < rows; ++row) {
    ++statistics.num_documents;
    const std::string_view text = column.texts.text(row);
    if (text.empty()) continue;
    tokenizer.cut(text);
    buckets.clear();
    for (std::size_t n = 1; n <= static_cast<std::size_t>(feature.ngrams); ++n)
      for (std::size_t t = 0; t + n <= tokenizer.size(); ++t)
        buckets.push_back(hash_bucket(tokenizer.run(t, n), feature.hash_size));
    std::sort(buckets.begin(), buckets.end());
    buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
    for (const std::int32_t bucket : buckets) ++statistics.documents[bucket];
  }
}

void add_chunk(const PipelinePlan& plan, const FeaturePlan& feature, const RecordChunk& chunk,
               FeatureStatistics& statistics) {
  const RecordColumn& first = chunk.columns[static_cast<std::size_t>(feature.columns[0])];
  switch (feature.kind) {
    case FeatureKind::numeric:
    case FeatureKind::interaction:
      return add_numbers(plan, feature, chunk, statistics);
    case FeatureKind::categorical:
      return add_values(first, chunk.rows, statistics.values);
    case FeatureKind::text:
      if (feature.terms == TermValue::tfidf) add_documents(feature, first, chunk.rows, statistics);
      return;
    case FeatureKind::hashed:
      return;
  }
}

Json counts_to_json(const ValueCounts& counts) {
  Json values = Json::array();
  for (std::int32_t v = 0; v < counts.values.size(); ++v)
    values.push_back(counts.values.ids().text(v));
  return {{"values", values}, {"counts", counts.counts}};
}

void add_counts(const Json& json, ValueCounts& counts) {
  const Json &values = json.at("values"), &times = json.at("counts");
  for (std::size_t v = 0; v < values.size(); ++v)
    counts.add(values.at(v).get_ref<const std::string&>(), times.at(v).get<std::int64_t>());
}

Json statistics_to_json(const FeatureStatistics& statistics) {
  Json numbers = Json::array(), buckets = Json::array(), counts = Json::array();
  for (const NumberStatistics& n : statistics.numbers)
    numbers.push_back({{"count", n.count},
                       {"least", n.least},
                       {"greatest", n.greatest},
                       {"sum", n.sum.limbs()},
                       {"squares", n.squares.limbs()}});
  for (const auto& [bucket, count] : statistics.documents) {
    buckets.push_back(bucket);
    counts.push_back(count);
  }
  return {{"numbers", numbers},
          {"values", counts_to_json(statistics.values)},
          {"buckets", buckets},
          {"bucket_counts", counts},
          {"documents", statistics.num_documents}};
}

void add_statistics(const Json& json, FeatureStatistics& statistics) {
  const Json& numbers = json.at("numbers");
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    NumberStatistics n;
    const Json& from = numbers[i];
    n.count = from.at("count").get<std::int64_t>();
    n.least = from.at("least").get<double>();
    n.greatest = from.at("greatest").get<double>();
    require(n.sum.set_limbs(from.at("sum").get<std::vector<std::int64_t>>()) &&
                n.squares.set_limbs(from.at("squares").get<std::vector<std::int64_t>>()),
            "a sum of a rank is no sum");
    statistics.numbers.at(i).add(n);
  }
  add_counts(json.at("values"), statistics.values);
  const Json &buckets = json.at("buckets"), &counts = json.at("bucket_counts");
  for (std::size_t b = 0; b < buckets.size(); ++b)
    statistics.documents[buckets[b].get<std::int32_t>()] += counts.at(b).get<std::int64_t>();
  statistics.num_documents += json.at("documents").get<std::int64_t>();
}

/// Values that are frequent enough, the most frequent first, equally frequent ones by name.
IdCodes vocabulary_of(const ValueCounts& counts, std::int64_t min_count) {
  std::vector<std::int32_t> order;
  for (std::int32_t v = 0; v < counts.values.size(); ++v)
    if (counts.counts[static_cast<std::size_t>(v)] >= min_count) order.push_back(v);
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    const std::int64_t times_a = counts.counts[static_cast<std::size_t>(a)],
                       times_b = counts.counts[static_cast<std::size_t>(b)];
    return times_a != times_b ? times_a > times_b
                              : counts.values.ids().text(a) < counts.values.ids().text(b);
  });
  IdCodes values(IdColumn::Kind::string);
  for (const std::int32_t v : order) values.add(counts.values.ids().text(v));
  return values;
}

FittedFeature fitted_from(const FeaturePlan& plan, const FeatureStatistics& statistics) {
  FittedFeature fitted;
  for (const NumberStatistics& n : statistics.numbers)
    fitted.scalings.push_back(n.scaling(plan.scale));
  fitted.values = vocabulary_of(statistics.values, plan.min_count);
  fitted.documents.assign(statistics.documents.begin(), statistics.documents.end());
  std::sort(fitted.documents.begin(), fitted.documents.end());
  fitted.num_documents = statistics.num_documents;
  return fitted;
}

}  // namespace

struct FeatureFit::Impl {
  PipelinePlan plan;
  std::vector<FeatureStatistics> features;
  ValueCounts classes;
  std::int64_t rows = 0;

  explicit Impl(PipelinePlan p) : plan(std::move(p)), features(plan.features.size()) {
    for (std::size_t f = 0; f < features.size(); ++f)
      features[f].numbers.resize(plan.features[f].columns.size());
  }
};

FeatureFit::FeatureFit(std::vector<FeatureSpec> specs, LabelSpec label,
                       const std::vector<ColumnSpec>& found)
    : impl_(std::make_unique<Impl>(plan_features(std::move(specs), label, found))) {}
FeatureFit::~FeatureFit() = default;
FeatureFit::FeatureFit(FeatureFit&&) noexcept = default;

const std::vector<ColumnSpec>& FeatureFit::columns() const { return impl_->plan.columns; }

void FeatureFit::add(const RecordChunk& chunk, int threads) {
  const PipelinePlan& plan = impl_->plan;
  require(chunk.columns.size() == plan.columns.size(), "{} columns, expected {}",
          chunk.columns.size(), plan.columns.size());
  impl_->rows += chunk.rows;
  const auto count = static_cast<std::int64_t>(plan.features.size());
  ThreadPool pool(static_cast<int>(std::clamp<std::int64_t>(count, 1, threads)));
  pool.parallel_for(count, 1, [&](std::int64_t first, std::int64_t last, int) {
    for (auto f = static_cast<std::size_t>(first); f < static_cast<std::size_t>(last); ++f)
      add_chunk(plan, plan.features[f], chunk, impl_->features[f]);
  });
  const RecordColumn& labels = chunk.columns[static_cast<std::size_t>(plan.label)];
  if (labels.kind == ColumnKind::text) add_values(labels, chunk.rows, impl_->classes);
}

std::string FeatureFit::serialize() const {
  Json features = Json::array();
  for (const FeatureStatistics& f : impl_->features) features.push_back(statistics_to_json(f));
  const Json json{{"plan", plan_to_json(impl_->plan)},
                  {"rows", impl_->rows},
                  {"classes", counts_to_json(impl_->classes)},
                  {"features", features}};
  std::string bytes;
  Json::to_cbor(json, bytes);
  return bytes;
}

FeaturePipeline FeatureFit::merge(const std::vector<std::string>& parts) {
  require(!parts.empty(), "no parts to merge");
  std::string plan_text;
  std::unique_ptr<Impl> all;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    const Json json = Json::from_cbor(parts[part]);
    const auto& text = json.at("plan").get_ref<const std::string&>();
    if (!all) {
      plan_text = text;
      all = std::make_unique<Impl>(plan_from_json(text, "features"));
    }
    expect(text == plan_text, ErrorKind::data,
           "features: rank {} saw other columns than rank 0; give all ranks the same files", part);
    for (std::size_t f = 0; f < all->features.size(); ++f)
      add_statistics(json.at("features").at(f), all->features[f]);
    add_counts(json.at("classes"), all->classes);
    all->rows += json.at("rows").get<std::int64_t>();
  }
  expect(all->rows > 0, ErrorKind::data, "features: there are no records to learn from");
  FeaturePipeline pipeline;
  FittedPipeline& fitted = pipeline.impl_->fitted;
  fitted.plan = all->plan;
  for (std::size_t f = 0; f < all->features.size(); ++f)
    fitted.features.push_back(fitted_from(all->plan.features[f], all->features[f]));
  const IdColumn& classes = all->classes.values.ids();
  for (std::int64_t c = 0; c < classes.size(); ++c) fitted.classes.emplace_back(classes.text(c));
  std::sort(fitted.classes.begin(), fitted.classes.end());
  place_features(fitted);
  return pipeline;
}

FeatureFit fit_features(const std::string& path, RecordReadOptions options,
                        const std::vector<FeatureSpec>& specs, const LabelSpec& label) {
  RecordReadOptions whole = options;
  whole.columns.clear();
  whole.part = 0;
  whole.parts = 1;
  FeatureFit fit(specs, label, open_records(path, whole)->columns());
  options.columns = fit.columns();
  const auto records = open_records(path, options);
  RecordChunk chunk;
  while (records->next(chunk)) fit.add(chunk, options.threads);
  return fit;
}

}  // namespace gradmill
