#include "data/inspect.h"

#include <nlohmann/json.hpp>

#include <array>
#include <filesystem>
#include <map>

#include "data/dataset.h"
#include "data/hdf5_layout.h"
#include "data/rating_source.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

// Members keep the order in which they are set, so text and JSON read alike.
using Json = nlohmann::ordered_json;

constexpr std::int64_t kHeadRows = 5;
constexpr int kHeadRecords = 100;

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    if (!text.empty()) text += " x ";
    text += std::to_string(size);
  }
  return text.empty() ? "scalar" : text;
}

Json describe_dataset(const std::string& folder) {
  const Dataset dataset = read_dataset(folder);
  Json json = Json::parse(dataset_to_json(dataset));
  json.erase("digest");
  json.erase("vocabulary");
  json["bytes"] = dataset.bytes();
  if (dataset.features) json["features"].erase("blocks_xxh3_64");
  for (Json& shard : json["shards"]) shard.erase("blocks_xxh3_64");
  return json;
}

Json describe_hdf5(const std::string& path) {
  Json sets = Json::array();
  for (const Hdf5Summary& summary : list_hdf5(path))
    sets.push_back({{"path", summary.path},
                    {"type", summary.type},
                    {"shape", shape_text(summary.shape)},
                    {"storage", summary.storage},
                    {"stored_bytes", summary.stored_bytes}});
  return {{"format", "HDF5"}, {"data_sets", sets}};
}

std::string kind_text(ExampleFeature::Kind kind) {
  constexpr std::array<const char*, 4> names{"empty", "bytes", "float", "int64"};
  return names[static_cast<std::size_t>(kind)];
}

struct FeatureSummary {
  std::string kind;
  std::int64_t records = 0, least = 0, most = 0;
};

Json describe_tfrecord(const std::string& path) {
  TfRecordReader reader(path);
  std::map<std::string, FeatureSummary> features;
  std::vector<ExampleFeature> example;
  std::string_view payload;
  bool examples = true;
  while (reader.record() < kHeadRecords && reader.next(payload)) {
    try {
      decode_example(payload, example);
    } catch (const Error&) {
      examples = false;  // records of something else
      break;
    }
    for (const ExampleFeature& feature : example) {
      auto [at, is_new] = features.try_emplace(std::string(feature.name));
      FeatureSummary& known = at->second;
      if (feature.count > 0 || is_new) known.kind = kind_text(feature.kind);
      known.least = is_new ? feature.count : std::min(known.least, feature.count);
      known.most = std::max(known.most, feature.count);
      ++known.records;
    }
  }
  const std::int64_t head = reader.record();
  while (reader.skip()) {
  }
  Json list = Json::array();
  for (const auto& [name, feature] : features)
    list.push_back({{"name", name},
                    {"kind", feature.kind},
                    {"values", feature.least == feature.most
                                   ? fmt::format("{}", feature.most)
                                   : fmt::format("{} to {}", feature.least, feature.most)},
                    {"records", feature.records}});
  return {{"format", "TFRecord"},       {"compressed", reader.compressed()},
          {"records", reader.record()}, {"payload", examples ? "tf.Example" : "not tf.Example"},
          {"features_of_first", head},  {"features", list}};
}

std::string id_text(const IdColumn& ids, std::int64_t row) {
  return ids.kind == IdColumn::Kind::i64
             ? std::to_string(ids.numbers[static_cast<std::size_t>(row)])
             : std::string(ids.text(row));
}

Json head_of(const std::string& path) {
  RatingReadOptions options;
  options.bad_records = BadRecords::skip;
  options.chunk_rows = 1024;
  const auto stream = open_ratings(path, options);
  RatingChunk chunk;
  Json rows = Json::array();
  if (!stream->next(chunk)) return rows;
  for (std::int64_t r = 0; r < std::min(chunk.rows(), kHeadRows); ++r) {
    const auto row = static_cast<std::size_t>(r);
    Json json{{"user", id_text(chunk.users, r)}, {"item", id_text(chunk.items, r)}};
    if (!chunk.values.empty()) json["rating"] = chunk.values[row];
    if (!chunk.weights.empty()) json["weight"] = chunk.weights[row];
    if (!chunk.timestamps.empty()) json["timestamp"] = chunk.timestamps[row];
    rows.push_back(json);
  }
  return rows;
}

/// "label 1: 3:0.5 7:-2 …"
Json head_of_samples(const std::string& path) {
  constexpr std::int64_t kHeadEntries = 8;
  SampleReadOptions options;
  options.bad_records = BadRecords::skip;
  options.chunk_rows = 64;
  options.verify = false;
  const auto stream = open_samples(path, options);
  SampleChunk chunk;
  Json rows = Json::array();
  if (!stream->next(chunk)) return rows;
  for (std::int64_t r = 0; r < std::min(chunk.rows(), kHeadRows); ++r) {
    const auto row = static_cast<std::size_t>(r);
    const std::int64_t count = chunk.offsets[row + 1] - chunk.offsets[row];
    std::string entries;
    for (std::int64_t e = 0; e < std::min(count, kHeadEntries); ++e) {
      const auto at = static_cast<std::size_t>(chunk.offsets[row] + e);
      entries += fmt::format("{}{}:{}", e ? " " : "", chunk.indices[at], chunk.values[at]);
    }
    if (count > kHeadEntries) entries += " …";
    Json json{{"label", chunk.labels[row]}};
    if (!chunk.weights.empty()) json["weight"] = chunk.weights[row];
    json["entries"] = count;
    json["features_from_0"] = entries;
    rows.push_back(json);
  }
  return rows;
}

Json describe(const RatingSource& source, const std::string& path) {
  switch (source.format) {
    case RatingFormat::dataset:
      return describe_dataset(path);
    case RatingFormat::hdf5:
      return describe_hdf5(source.files[0]);
    case RatingFormat::tfrecord:
      return describe_tfrecord(source.files[0]);
    case RatingFormat::text:
      break;
  }
  return {{"format", is_libsvm(source.files[0]) ? "LIBSVM text" : "text"}};
}

/// "  name: value" with nested values indented; a list of flat objects is one line each.
void print(const Json& json, int depth, std::string& to) {
  const std::string indent(static_cast<std::size_t>(2 * depth), ' ');
  for (const auto& [name, value] : json.items()) {
    const std::string label = json.is_array() ? std::string("-") : name + ":";
    const bool flat = value.is_object() && json.is_array();
    if (flat) {
      to += fmt::format("{}{}", indent, label);
      for (const auto& [key, field] : value.items())
        to += fmt::format("  {} {}", key,
                          field.is_string() ? field.get<std::string>() : field.dump());
      to += "\n";
    } else if (value.is_structured()) {
      to += fmt::format("{}{}\n", indent, label);
      print(value, depth + 1, to);
    } else {
      to += fmt::format("{}{} {}\n", indent, label,
                        value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

}  // namespace

std::string inspect_data(const std::string& path, bool json) {
  const RatingSource source = find_rating_files(path);
  Json all{{"path", path}};
  if (source.files.size() > 1) all["files"] = source.files.size();
  if (source.format != RatingFormat::dataset)
    all["bytes_of_first"] = std::filesystem::file_size(source.files[0]);
  all.update(describe(source, path));
  try {
    all["first_rows"] =
        find_data_kind(path) == DataKind::samples ? head_of_samples(path) : head_of(path);
  } catch (const Error& error) {  // no ratings or samples, or their columns have to be named
    if (source.format == RatingFormat::text) throw;
    all["first_rows"] = Json::array();
    all["note"] = error.what();
  }
  const auto replace = Json::error_handler_t::replace;
  if (json) return all.dump(2, ' ', false, replace) + "\n";
  std::string text;
  print(Json::parse(all.dump(-1, ' ', false, replace)), 0, text);
  return text;
}

}  // namespace gradmill
