// Records -> sparse samples, in blocks of rows side by side.
#include <algorithm>
#include <cmath>

#include "data/feature_plan.h"
#include "data/murmur3.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

constexpr std::int64_t kBlockRows = 512;

/// Entries of some consecutive rows.
struct Entries {
  std::vector<std::int64_t> ends;
  std::vector<std::int32_t> indices;
  std::vector<float> values;

  void add(std::int64_t index, double value) {
    if (value == 0) return;
    indices.push_back(static_cast<std::int32_t>(index));
    values.push_back(static_cast<float>(value));
  }
};

/// Transforms rows one after the other; one for each thread.
class RowTransform {
 public:
  RowTransform(const FittedPipeline& pipeline, const RecordChunk& records)
      : pipeline_(pipeline), records_(records) {
    for (const FeaturePlan& plan : pipeline.plan.features) tokenizers_.emplace_back(plan.tokenizer);
  }

  void rows(std::int64_t first, std::int64_t last, Entries& to) {
    to.ends.clear();
    to.indices.clear();
    to.values.clear();
    for (std::int64_t row = first; row < last; ++row) {
      for (std::size_t f = 0; f < pipeline_.features.size(); ++f) feature(f, row, to);
      to.ends.push_back(static_cast<std::int64_t>(to.indices.size()));
    }
  }

 private:
  const RecordColumn& column(int c) const { return records_.columns[static_cast<std::size_t>(c)]; }
  const std::string& name(int c) const {
    return pipeline_.plan.columns[static_cast<std::size_t>(c)].name;
  }

  void feature(std::size_t f, std::int64_t row, Entries& to) {
    const FeaturePlan& plan = pipeline_.plan.features[f];
    const FittedFeature& fitted = pipeline_.features[f];
    switch (plan.kind) {
      case FeatureKind::numeric:
        return numeric(plan, fitted, row, to);
      case FeatureKind::categorical:
        return categorical(plan, fitted, row, to);
      case FeatureKind::hashed:
        return hashed(plan, fitted, row, to);
      case FeatureKind::text:
        return text(plan, fitted, row, tokenizers_[f], to);
      case FeatureKind::interaction:
        return interaction(plan, fitted, row, to);
    }
  }

  double scaled(const FeaturePlan& plan, const NumberScaling& scaling, int c, std::int64_t row,
                double number) const {
    if (plan.log1p) {
      if (number <= -1) refuse_logarithm(name(c), records_.first_row + row, number);
      number = std::log1p(number);
    }
    return finite((number - scaling.shift) * scaling.factor, c, row);
  }
  double finite(double value, int c, std::int64_t row) const {
    expect(std::isfinite(static_cast<float>(value)), ErrorKind::data,
           "column \"{}\", record {}: the scaled number {} is no float", name(c),
           records_.first_row + row + 1, value);
    return value;
  }

  void numeric(const FeaturePlan& plan, const FittedFeature& fitted, std::int64_t row,
               Entries& to) const {
    const int c = plan.columns[0];
    const NumberScaling& scaling = fitted.scalings[0];
    const double number = column(c).numbers[static_cast<std::size_t>(row)];
    if (!std::isnan(number)) return to.add(fitted.base, scaled(plan, scaling, c, row, number));
    const double stand_in = plan.missing == MissingPolicy::zero ? 0 : scaling.mean;
    to.add(fitted.base, finite((stand_in - scaling.shift) * scaling.factor, c, row));
    if (plan.missing == MissingPolicy::indicator) to.add(fitted.base + 1, 1);
  }

  void categorical(const FeaturePlan& plan, const FittedFeature& fitted, std::int64_t row,
                   Entries& to) const {
    const std::string_view value = column(plan.columns[0]).texts.text(row);
    const std::int64_t known = fitted.values.size();
    if (value.empty()) {
      if (plan.missing == MissingPolicy::own) to.add(fitted.base + fitted.width - 1, 1);
      return;
    }
    const std::int32_t code = fitted.values.find(value);
    if (code >= 0) return to.add(fitted.base + code, 1);
    if (plan.min_count > 1) to.add(fitted.base + known, 1);
  }

  void hashed(const FeaturePlan& plan, const FittedFeature& fitted, std::int64_t row, Entries& to) {
    const std::string_view value = column(plan.columns[0]).texts.text(row);
    if (value.empty() && plan.missing != MissingPolicy::own) return;
    term_.clear();
    append_cross_term(name(plan.columns[0]), value, term_);
    to.add(fitted.base + hash_bucket(term_, plan.hash_size), 1);
  }

  void text(const FeaturePlan& plan, const FittedFeature& fitted, std::int64_t row,
            Tokenizer& tokenizer, Entries& to) {
    const std::string_view text = column(plan.columns[0]).texts.text(row);
    if (text.empty()) return;
    tokenizer.cut(text);
    buckets_.clear();
    for (std::size_t n = 1; n <= static_cast<std::size_t>(plan.ngrams); ++n)
      for (std::size_t t = 0; t + n <= tokenizer.size(); ++t)
        buckets_.push_back(hash_bucket(tokenizer.run(t, n), plan.hash_size));
    std::sort(buckets_.begin(), buckets_.end());
    for (std::size_t b = 0, next; b < buckets_.size(); b = next) {
      for (next = b + 1; next < buckets_.size() && buckets_[next] == buckets_[b]; ++next) continue;
      double value = plan.terms == TermValue::binary ? 1 : static_cast<double>(next - b);
      if (plan.terms == TermValue::tfidf) value *= fitted.bucket_weight(buckets_[b]);
      to.add(fitted.base + buckets_[b], value);
    }
  }

  /// Texts name the bucket, numbers are multiplied. Without one of the numbers there is no feature.
  void interaction(const FeaturePlan& plan, const FittedFeature& fitted, std::int64_t row,
                   Entries& to) {
    double product = 1;
    term_.clear();
    for (std::size_t i = 0; i < plan.columns.size(); ++i) {
      const int c = plan.columns[i];
      if (i > 0) term_ += '&';
      if (column(c).kind == ColumnKind::text) {
        append_cross_term(name(c), column(c).texts.text(row), term_);
        continue;
      }
      const double number = column(c).numbers[static_cast<std::size_t>(row)];
      if (std::isnan(number)) return;
      product *= scaled(plan, fitted.scalings[i], c, row, number);
      term_ += name(c);
    }
    to.add(fitted.base + hash_bucket(term_, plan.hash_size), finite(product, plan.columns[0], row));
  }

  const FittedPipeline& pipeline_;
  const RecordChunk& records_;
  std::vector<Tokenizer> tokenizers_;  // [features]
  std::vector<std::int32_t> buckets_;
  std::string term_;
};

void take_labels(const FittedPipeline& pipeline, const RecordChunk& records, SampleChunk& samples) {
  const RecordColumn& labels = records.columns[static_cast<std::size_t>(pipeline.plan.label)];
  const auto& classes = pipeline.classes;
  for (std::int64_t row = 0; row < records.rows; ++row) {
    float& label = samples.labels[static_cast<std::size_t>(row)];
    if (labels.kind == ColumnKind::number) {
      label = static_cast<float>(labels.numbers[static_cast<std::size_t>(row)]);
      continue;
    }
    const std::string_view text = labels.texts.text(row);
    const auto found = std::lower_bound(classes.begin(), classes.end(), text);
    expect(found != classes.end() && *found == text, ErrorKind::data,
           "record {}: the label \"{}\" is none of the {} classes", records.first_row + row + 1,
           text, classes.size());
    label = static_cast<float>(found - classes.begin());
  }
  if (pipeline.plan.weight < 0) return;
  const auto& weights = records.columns[static_cast<std::size_t>(pipeline.plan.weight)].numbers;
  samples.weights.assign(weights.begin(), weights.end());
}

/// Puts the blocks behind one another.
void join(const std::vector<Entries>& blocks, ThreadPool& pool, SampleChunk& samples) {
  std::vector<std::int64_t> begins{0};
  for (const Entries& block : blocks)
    begins.push_back(begins.back() + static_cast<std::int64_t>(block.indices.size()));
  samples.indices.resize(static_cast<std::size_t>(begins.back()));
  samples.values.resize(samples.indices.size());
  samples.offsets[0] = 0;
  const auto count = static_cast<std::int64_t>(blocks.size());
  pool.parallel_for(count, 1, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t b = first; b < last; ++b) {
      const Entries& block = blocks[static_cast<std::size_t>(b)];
      const std::int64_t begin = begins[static_cast<std::size_t>(b)];
      std::copy(block.indices.begin(), block.indices.end(), samples.indices.begin() + begin);
      std::copy(block.values.begin(), block.values.end(), samples.values.begin() + begin);
      for (std::size_t r = 0; r < block.ends.size(); ++r)
        samples.offsets[static_cast<std::size_t>(b * kBlockRows) + r + 1] = begin + block.ends[r];
    }
  });
}

}  // namespace

void FeaturePipeline::transform(const RecordChunk& records, SampleChunk& samples, ThreadPool& pool,
                                bool with_labels) const {
  const FittedPipeline& pipeline = impl_->fitted;
  const std::size_t expected = columns(with_labels).size();
  require(records.columns.size() >= expected, "{} columns, expected {}", records.columns.size(),
          expected);
  const auto rows = static_cast<std::size_t>(records.rows);
  samples.first_row = records.first_row;
  samples.offsets.resize(rows + 1);
  samples.labels.assign(rows, 0);
  samples.weights.clear();
  const std::int64_t count = (records.rows + kBlockRows - 1) / kBlockRows;
  std::vector<Entries> blocks(static_cast<std::size_t>(count));
  std::vector<RowTransform> workers;
  for (int t = 0; t < pool.size(); ++t) workers.emplace_back(pipeline, records);
  pool.parallel_for(count, 1, [&](std::int64_t first, std::int64_t last, int thread) {
    for (std::int64_t b = first; b < last; ++b)
      workers[static_cast<std::size_t>(thread)].rows(b * kBlockRows,
                                                     std::min((b + 1) * kBlockRows, records.rows),
                                                     blocks[static_cast<std::size_t>(b)]);
  });
  join(blocks, pool, samples);
  if (with_labels) take_labels(pipeline, records, samples);
}

void FeaturePipeline::transform(const RecordChunk& records, SampleChunk& samples, int threads,
                                bool with_labels) const {
  ThreadPool pool(threads);
  transform(records, samples, pool, with_labels);
}

}  // namespace gradmill
