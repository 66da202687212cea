#include "launch/sample_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/rating_source.h"
#include "launch/model_state.h"
#include "launch/reading.h"
#include "launch/record_features.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
using nlohmann::ordered_json;
constexpr const char* kInputs = "inputs.json";
constexpr const char* kFeatures = "features.json";

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return std::any_of(ends.begin(), ends.end(), [&](auto end) { return name.ends_with(end); });
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from, std::int64_t begin, std::int64_t end) {
  to.insert(to.end(), from.begin() + begin, from.begin() + end);
}

/// Labels that are classes already. No reader gives others, but a converted data set of another origin may.
void check_classes(const std::vector<float>& labels, const std::vector<std::string>& classes,
                   const std::string& source, std::int64_t first_row) {
  if (classes.empty()) return;
  const auto count = static_cast<float>(classes.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    expect(labels[i] >= 0 && labels[i] < count && labels[i] == std::floor(labels[i]),
           ErrorKind::data,
           "{}: row {}: the label {} is not one of the model's {} classes (from 0)", source,
           first_row + static_cast<std::int64_t>(i) + 1, labels[i], classes.size());
}

SampleReadOptions sample_options(const SampleSource& source, const SampleInputs& inputs,
                                 bool strict) {
  using Base = SampleReadOptions::IndexBase;
  SampleReadOptions options =
      sample_read_options(source.data, source.threads, source.part, source.parts);
  if (options.index_base == Base::detect && inputs.index_base >= 0)
    options.index_base = inputs.index_base == 0 ? Base::zero : Base::one;
  options.num_features = strict ? inputs.num_features : 0;
  return options;
}

}  // namespace

void SampleInputs::take(std::shared_ptr<const FeaturePipeline> fitted) {
  pipeline = std::move(fitted);
  num_features = pipeline->num_features();
  classes = pipeline->label_classes();
}

std::string SampleInputs::feature_name(std::int64_t feature) const {
  if (pipeline) return pipeline->feature_name(feature);
  return std::to_string(feature + std::max(index_base, 0));  // as in the file
}

std::string SampleInputs::output_name(std::int64_t output, std::int64_t outputs) const {
  if (classes.empty()) return "value";
  return classes.at(static_cast<std::size_t>(outputs == 1 ? 1 : output));
}

std::string SampleInputs::describe_labels() const {
  if (classes.empty()) return "a regression";
  constexpr std::size_t kShown = 6;
  const std::vector<std::string> first(
      classes.begin(),
      classes.begin() + static_cast<std::ptrdiff_t>(std::min(classes.size(), kShown)));
  return fmt::format("{} classes ({}{})", classes.size(), fmt::join(first, ", "),
                     classes.size() > kShown ? ", …" : "");
}

void SampleInputs::to_label_units(std::vector<float>& scores) const {
  if (label_mean == 0 && label_scale == 1) return;
  for (float& score : scores)
    score = static_cast<float>(label_mean + label_scale * static_cast<double>(score));
}

void SampleInputs::write(CheckpointWriter& writer) const {
  ordered_json json;
  json["format"] = 1;
  json["num_features"] = num_features;
  json["classes"] = classes;
  json["class_values"] = class_values;
  json["index_base"] = index_base;
  json["label_mean"] = label_mean;
  json["label_scale"] = label_scale;
  writer.add_file(kInputs, json.dump(1) + "\n");
  if (pipeline) writer.add_file(kFeatures, pipeline->serialize());
}

SampleInputs SampleInputs::read(const Checkpoint& checkpoint) {
  SampleInputs inputs;
  const std::string name = checkpoint.path() + "/" + kInputs;
  try {
    const auto json = nlohmann::json::parse(checkpoint.read_file(kInputs));
    expect(json.at("format").get<int>() == 1, ErrorKind::checkpoint,
           "{}: format {} is not known; use a newer gradmill", name, json.at("format").dump());
    json.at("num_features").get_to(inputs.num_features);
    json.at("classes").get_to(inputs.classes);
    json.at("class_values").get_to(inputs.class_values);
    json.at("index_base").get_to(inputs.index_base);
    inputs.label_mean = json.value("label_mean", 0.0);
    inputs.label_scale = json.value("label_scale", 1.0);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: {}", name, error.what());
  }
  expect(inputs.class_values.empty() || inputs.class_values.size() == inputs.classes.size(),
         ErrorKind::checkpoint, "{}: {} classes, but {} labels", name, inputs.classes.size(),
         inputs.class_values.size());
  if (checkpoint.manifest().find_file(kFeatures)) {
    inputs.pipeline = std::make_shared<const FeaturePipeline>(FeaturePipeline::deserialize(
        checkpoint.read_file(kFeatures), checkpoint.path() + "/" + kFeatures));
    expect(inputs.pipeline->num_features() == inputs.num_features, ErrorKind::checkpoint,
           "{}: {} features, but {} makes {}", name, inputs.num_features, kFeatures,
           inputs.pipeline->num_features());
  }
  return inputs;
}

void SampleInputs::to_classes(std::vector<float>& labels, const std::string& source,
                              std::int64_t first_row, float unknown_is) const {
  if (class_values.empty()) return check_classes(labels, classes, source, first_row);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto at = std::lower_bound(class_values.begin(), class_values.end(), labels[i]);
    if (at != class_values.end() && *at == labels[i]) {
      labels[i] = static_cast<float>(at - class_values.begin());
      continue;
    }
    if (std::isnan(unknown_is))
      fail(ErrorKind::data, "{}: row {}: the label {} is not one of the model's classes {}", source,
           first_row + static_cast<std::int64_t>(i) + 1, labels[i], fmt::join(classes, ", "));
    labels[i] = unknown_is;
  }
}

bool has_records(const std::string& source, const std::string& format) {
  const RatingSource found = find_rating_files(source);
  if (found.format == RatingFormat::dataset) return false;
  if (format == "libsvm" || format == "csr") return false;
  if (format != "auto") return true;
  if (found.format == RatingFormat::text &&
      ends_with_any(found.files.at(0), {".svm", ".libsvm", ".svmlight"}))
    return false;
  if (found.format == RatingFormat::text &&
      ends_with_any(found.files.at(0), {".csv", ".tsv", ".jsonl", ".ndjson", ".json"}))
    return true;
  return find_data_kind(source) != DataKind::samples;
}

RecordReadOptions record_options(const DataConfig& data, int threads, int part, int parts) {
  RecordReadOptions options;
  options.delimiter = data.delimiter == "tab" || data.delimiter == "\\t" ? "\t" : data.delimiter;
  options.header = data.header == "yes"  ? RecordReadOptions::Header::yes
                   : data.header == "no" ? RecordReadOptions::Header::no
                                         : RecordReadOptions::Header::detect;
  options.quotes = data.quotes;
  using Text = RecordReadOptions::Text;
  options.text = data.format == "csv"     ? Text::csv
                 : data.format == "jsonl" ? Text::json
                                          : Text::by_name;
  if (!data.missing_values.empty()) options.missing = data.missing_values;
  options.bad_records = data.bad_records == "skip" ? BadRecords::skip : BadRecords::fail;
  options.threads = threads;
  options.part = part;
  options.parts = parts;
  return options;
}

std::unique_ptr<SampleStream> open_model_samples(const SampleSource& source,
                                                 const SampleInputs& inputs, bool strict,
                                                 bool with_labels) {
  if (inputs.pipeline && !is_converted(source.path))
    return open_record_samples(
        source.path, record_options(source.data, source.threads, source.part, source.parts),
        *inputs.pipeline, with_labels);
  expect(!has_records(source.path, source.data.format), ErrorKind::data,
         "{}: records with columns, but the model was trained on sparse rows of {} features",
         source.path, inputs.num_features);
  expect_same_features(source.path, inputs);
  return open_samples(source.path, sample_options(source, inputs, strict));
}

void append_rows(Samples& to, const SampleChunk& chunk, std::int64_t begin, std::int64_t end) {
  if (begin == end) return;
  const auto b = static_cast<std::size_t>(begin), e = static_cast<std::size_t>(end);
  const std::int64_t first = chunk.offsets[b], shift = to.offsets.back() - first;
  append(to.indices, chunk.indices, first, chunk.offsets[e]);
  append(to.values, chunk.values, first, chunk.offsets[e]);
  append(to.labels, chunk.labels, begin, end);
  for (std::size_t row = b; row < e; ++row) to.offsets.push_back(chunk.offsets[row + 1] + shift);
  if (chunk.weights.empty() && to.weights.empty()) return;
  to.weights.resize(to.labels.size() - (e - b), 1.0f);
  if (chunk.weights.empty())
    to.weights.resize(to.labels.size(), 1.0f);
  else
    append(to.weights, chunk.weights, begin, end);
}

std::int64_t drop_unknown_features(SampleChunk& chunk, std::int64_t num_features) {
  const auto unknown = [&](std::int32_t index) { return index >= num_features; };
  if (std::none_of(chunk.indices.begin(), chunk.indices.end(), unknown)) return 0;
  std::size_t kept = 0;
  for (std::size_t row = 0, entry = 0; row + 1 < chunk.offsets.size(); ++row) {
    const auto end = static_cast<std::size_t>(chunk.offsets[row + 1]);
    for (; entry < end; ++entry) {
      if (unknown(chunk.indices[entry])) continue;
      chunk.indices[kept] = chunk.indices[entry];
      chunk.values[kept++] = chunk.values[entry];
    }
    chunk.offsets[row + 1] = static_cast<std::int64_t>(kept);
  }
  const auto dropped = static_cast<std::int64_t>(chunk.indices.size() - kept);
  chunk.indices.resize(kept);
  chunk.values.resize(kept);
  return dropped;
}

void write_sample_model(const Context& ctx, const Context& host, Communicator& comm,
                        const std::string& parent, const std::string& name,
                        const CheckpointInfo& info, const std::vector<StateTensor>& tensors,
                        const SampleInputs& inputs) {
  CheckpointWriter writer(host, comm, parent, name);
  const HostState state(ctx, tensors);
  state.add_to(writer);
  if (comm.rank() == 0) inputs.write(writer);
  writer.commit(info);
}

}  // namespace gradmill
