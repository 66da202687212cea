#include "data/tfrecord_samples.h"

#include <cmath>
#include <initializer_list>

#include "data/record_checks.h"
#include "data/sample_rows.h"
#include "data/tf_example.h"
#include "data/tfrecord_ratings.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Kind = ExampleFeature::Kind;
using Features = std::vector<ExampleFeature>;

constexpr std::initializer_list<const char*> kLabels{"label", "labels", "y", "target", "class"},
    kIndices{"indices", "index", "feature_indices", "ids"},
    kValues{"values", "value", "feature_values", "features", "data", "x"},
    kWeights{"weight", "weights", "sample_weight"};

std::string find_usual(const Features& features, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (find_feature(features, name)) return name;
  return "";
}

/// Fills in the names that were not given; "" for a weight, indices or values that are not there.
SampleColumns find_names(const Features& features, SampleColumns names) {
  if (names.label.empty()) names.label = find_usual(features, kLabels);
  if (names.indices.empty()) names.indices = find_usual(features, kIndices);
  if (names.values.empty()) names.values = find_usual(features, kValues);
  if (names.weight.empty()) names.weight = find_usual(features, kWeights);
  if (names.indices == "-") names.indices.clear();
  if (names.weight == "-") names.weight.clear();
  return names;
}

class TfRecordSamples : public SampleStream {
 public:
  TfRecordSamples(TfRecordReader reader, std::int64_t count, const SampleReadOptions& options)
      : reader_(std::move(reader)), left_(count), options_(options), names_(options.columns) {
    num_features_ = options.num_features > 0 ? options.num_features : kMaxFeatures;
  }

  bool next(SampleChunk& chunk) override {
    chunk.offsets.assign(1, 0);
    chunk.indices.clear();
    chunk.values.clear();
    chunk.labels.clear();
    chunk.weights.clear();
    while (chunk.rows() < options_.chunk_rows && left_ != 0) {
      if (left_ > 0) --left_;
      if (!take_record(chunk)) {
        expect(left_ <= 0, ErrorKind::data,
               "{}: ends after {} records, {} more were expected; it is truncated", reader_.name(),
               reader_.record(), left_ + 1);
        left_ = 0;
      }
    }
    chunk.first_row = report_.rows;
    report_.rows += chunk.rows();
    return chunk.rows() > 0;
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t num_features() const override { return options_.num_features; }

 private:
  bool take_record(SampleChunk& chunk) {
    try {
      std::string_view payload;
      if (!reader_.next(payload)) return false;
      decode_example(payload, features_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data || reader_.lost()) throw;
      reject(BadRecord::malformed, error.what());
      return true;
    }
    if (!ready_) find_features();
    if (const auto fault = add_row(chunk)) {
      reject(fault->why, fault->what);
      chunk.indices.resize(static_cast<std::size_t>(chunk.offsets.back()));
      chunk.values.resize(chunk.indices.size());
    }
    return true;
  }

  void reject(BadRecord why, std::string text) {
    if (!text.starts_with(reader_.name()))
      text = fmt::format("{}: record {} at byte {}: {}", reader_.name(), reader_.record(),
                         reader_.offset(), text);
    reject_record(report_, options_.bad_records, why, text);
  }

  void find_features() {
    names_ = find_names(features_, names_);
    const auto listed = [&] {
      std::string text;
      for (const ExampleFeature& feature : features_)
        text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", feature.name);
      return text;
    };
    expect(!names_.label.empty() && !(names_.indices.empty() && names_.values.empty()),
           ErrorKind::data, "{}: record {}: no feature for the {}; there are {}", reader_.name(),
           reader_.record(), names_.label.empty() ? "label" : "values", listed());
    ready_ = true;
  }

  std::optional<RowFault> take_number(const std::string& name, RatingRole role, float& to) const {
    const ExampleFeature* feature = find_feature(features_, name);
    if (!feature || feature->count == 0)
      return RowFault{BadRecord::missing, fmt::format("has no \"{}\"", name)};
    if (feature->count > 1 || feature->kind == Kind::bytes)
      return RowFault{
          BadRecord::malformed,
          fmt::format("\"{}\" is {}; expected one number", name,
                      feature->count > 1 ? fmt::format("{} values", feature->count) : "text")};
    const double number = feature->kind == Kind::floats
                              ? static_cast<double>(feature->float_value())
                              : static_cast<double>(feature->int64_value());
    if (const Verdict bad = to_real(role, number, to))
      return RowFault{*bad,
                      fmt::format("\"{}\" is {}; expected {}", name, number, expected_of(role))};
    return std::nullopt;
  }

  /// Appends the values to the chunk. A feature that is not there is an empty list.
  std::optional<RowFault> take_values(SampleChunk& chunk, std::int64_t& count) {
    const ExampleFeature* feature = find_feature(features_, names_.values);
    count = feature ? feature->count : 0;
    if (count == 0) return std::nullopt;
    if (feature->kind == Kind::floats) {
      feature->append_floats(chunk.values);
    } else if (feature->kind == Kind::int64s) {
      whole_.clear();
      feature->append_int64s(whole_);
      for (const std::int64_t number : whole_) chunk.values.push_back(static_cast<float>(number));
    } else {
      return RowFault{BadRecord::malformed,
                      fmt::format("\"{}\" is text; expected numbers", names_.values)};
    }
    return std::nullopt;
  }

  std::optional<RowFault> add_sparse(SampleChunk& chunk) {
    const ExampleFeature* feature = find_feature(features_, names_.indices);
    whole_.clear();
    if (feature && feature->count > 0) {
      if (feature->kind != Kind::int64s)
        return RowFault{BadRecord::malformed,
                        fmt::format("\"{}\" is no list of int64", names_.indices)};
      feature->append_int64s(whole_);
    }
    for (const std::int64_t index : whole_) chunk.indices.push_back(to_index(index));
    const auto indices = static_cast<std::int64_t>(whole_.size());
    std::int64_t values = indices;
    if (names_.values.empty())
      chunk.values.resize(chunk.indices.size(), 1.f);
    else if (auto fault = take_values(chunk, values))
      return fault;
    if (values != indices)
      return RowFault{BadRecord::malformed,
                      fmt::format("\"{}\" has {} entries, but \"{}\" has {}", names_.indices,
                                  indices, names_.values, values)};
    return std::nullopt;
  }

  std::optional<RowFault> add_dense(SampleChunk& chunk) {
    std::int64_t count = 0;
    const std::size_t begin = chunk.values.size();
    if (auto fault = take_values(chunk, count)) return fault;
    if (width_ < 0) width_ = count;
    if (count != width_)
      return RowFault{count ? BadRecord::malformed : BadRecord::missing,
                      fmt::format("\"{}\" has {} values, but {} in the first record", names_.values,
                                  count, width_)};
    std::size_t kept = begin;
    for (std::size_t e = begin; e < chunk.values.size(); ++e) {
      if (chunk.values[e] == 0) continue;
      chunk.indices.push_back(static_cast<std::int32_t>(e - begin));
      chunk.values[kept++] = chunk.values[e];
    }
    chunk.values.resize(kept);
    return std::nullopt;
  }

  std::optional<RowFault> add_row(SampleChunk& chunk) {
    float label = 0, weight = 1;
    if (auto fault = take_number(names_.label, RatingRole::value, label)) return fault;
    if (!names_.weight.empty())
      if (auto fault = take_number(names_.weight, RatingRole::weight, weight)) return fault;
    const auto begin = static_cast<std::size_t>(chunk.offsets.back());
    if (auto fault = names_.indices.empty() ? add_dense(chunk) : add_sparse(chunk)) return fault;
    if (auto fault = check_row(chunk.indices.data() + begin, chunk.values.data() + begin,
                               chunk.indices.size() - begin, num_features_))
      return fault;
    chunk.labels.push_back(label);
    if (!names_.weight.empty()) chunk.weights.push_back(weight);
    chunk.offsets.push_back(chunk.nnz());
    return std::nullopt;
  }

  TfRecordReader reader_;
  std::int64_t left_;  // -1: to the end
  SampleReadOptions options_;
  SampleColumns names_;
  std::int64_t num_features_ = 0, width_ = -1;
  bool ready_ = false;
  Features features_;
  std::vector<std::int64_t> whole_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<SampleStream> read_tfrecord_samples(TfRecordReader reader, std::int64_t count,
                                                    const SampleReadOptions& options) {
  return std::make_unique<TfRecordSamples>(std::move(reader), count, options);
}

std::unique_ptr<SampleStream> read_tfrecord_samples(const FileSlice& slice,
                                                    const SampleReadOptions& options) {
  return read_tfrecord_samples(tfrecords_from(slice.path, slice.first), slice.count, options);
}

bool has_tfrecord_samples(const std::string& path) {
  try {
    TfRecordReader reader(path);
    std::string_view payload;
    Features features;
    if (!reader.next(payload)) return false;
    decode_example(payload, features);
    const SampleColumns names = find_names(features, {});
    return !names.label.empty() && !(names.indices.empty() && names.values.empty()) &&
           !find_feature(features, "user") && !find_feature(features, "item");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    return false;
  }
}

std::unique_ptr<SampleStream> open_tfrecord_samples(const std::vector<std::string>& files,
                                                    const SampleReadOptions& options) {
  PartOfFiles part = part_of_files(files, options.part, options.parts, count_tfrecords);
  return std::make_unique<SampleSlices>(
      std::move(part.slices), part.first_row,
      [options](const FileSlice& slice) { return read_tfrecord_samples(slice, options); },
      options.num_features, 0);
}

}  // namespace gradmill
