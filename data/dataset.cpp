#include "data/dataset.h"

#include <nlohmann/json.hpp>

#include "runtime/expect.h"

namespace gradmill {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxJsonBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMaxFeaturesBytes = std::int64_t{1} << 36;
constexpr std::int64_t kMaxVocabularyBytes = std::int64_t{1} << 40;
constexpr const char* kRatings = "gradmill ratings";
constexpr const char* kSamples = "gradmill samples";

const char* kind_name(IdColumn::Kind kind) {
  return kind == IdColumn::Kind::i64 ? "int64" : "string";
}

Json file_json(const FileRecord& file) {
  Json blocks = Json::array();
  for (const std::uint64_t block : file.blocks) blocks.push_back(fmt::format("{:016x}", block));
  return {{"file", file.name},
          {"bytes", file.bytes},
          {"xxh3_128", file.digest},
          {"blocks_xxh3_64", blocks}};
}

Json range_json(const ValueRange& range) {
  return {{"min", range.min}, {"max", range.max}, {"mean", range.mean}};
}

/// A JSON object whose members are looked up with messages that name them.
class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    expect(json.is_object(), ErrorKind::data, "{}: expected an object", where_);
  }
  bool has(const char* key) const { return json_.contains(key); }
  const Json& at(const char* key) const {
    const auto found = json_.find(key);
    expect(found != json_.end(), ErrorKind::data, "{}: \"{}\" is missing", where_, key);
    return *found;
  }
  Reader object(const char* key) const { return {at(key), where_ + ": " + key}; }
  std::string text(const char* key) const {
    expect(at(key).is_string(), ErrorKind::data, "{}: \"{}\" is no text", where_, key);
    return at(key).get<std::string>();
  }
  std::int64_t integer(const char* key) const {
    const Json& value = at(key);
    const bool fits = value.is_number_unsigned()
                          ? value.get<std::uint64_t>() < std::uint64_t{1} << 63
                          : value.is_number_integer();
    expect(fits, ErrorKind::data, "{}: \"{}\" is no whole number", where_, key);
    return value.get<std::int64_t>();
  }
  std::int64_t count(const char* key) const {
    const std::int64_t value = integer(key);
    expect(value >= 0, ErrorKind::data, "{}: \"{}\" is {}", where_, key, value);
    return value;
  }
  double real(const char* key) const {
    expect(at(key).is_number(), ErrorKind::data, "{}: \"{}\" is no number", where_, key);
    return at(key).get<double>();
  }
  const Json& list(const char* key) const {
    expect(at(key).is_array(), ErrorKind::data, "{}: \"{}\" is no list", where_, key);
    return at(key);
  }
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
};

std::uint64_t parse_hex(const Json& json, const std::string& where) {
  const std::string text = json.is_string() ? json.get<std::string>() : std::string();
  expect(text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos,
         ErrorKind::data, "{}: a block's digest is no number of 16 hexadecimal digits", where);
  return std::stoull(text, nullptr, 16);
}

FileRecord parse_file(const Reader& from) {
  FileRecord file;
  file.name = from.text("file");
  expect(is_plain_name(file.name), ErrorKind::data, "{}: \"file\" is no plain file name",
         from.where());
  file.bytes = from.count("bytes");
  file.digest = from.text("xxh3_128");
  for (const Json& block : from.list("blocks_xxh3_64"))
    file.blocks.push_back(parse_hex(block, from.where()));
  return file;
}

IdColumn::Kind parse_kind(const Reader& columns, const char* column) {
  const std::string kind = columns.text(column);
  expect(kind == "int64" || kind == "string", ErrorKind::data,
         "{}: ids are \"{}\", expected int64 or string", columns.where(), kind);
  return kind == "int64" ? IdColumn::Kind::i64 : IdColumn::Kind::string;
}

ValueRange parse_range(const Reader& from) {
  return {from.real("min"), from.real("max"), from.real("mean")};
}

void parse_shards(const Reader& root, Dataset& dataset) {
  std::int64_t rows = 0;
  for (const Json& json : root.list("shards")) {
    const Reader from(json, fmt::format("{}: shard {}", root.where(), dataset.shards.size() + 1));
    dataset.shards.push_back({parse_file(from), from.count("rows")});
    if (dataset.kind == DataKind::samples) dataset.shards.back().entries = from.count("entries");
    expect(dataset.shards.back().rows <= dataset.rows - rows, ErrorKind::data,
           "{}: the shards have more than {} rows", from.where(), dataset.rows);
    rows += dataset.shards.back().rows;
  }
  expect(rows == dataset.rows, ErrorKind::data, "{}: the shards have {} rows, expected {}",
         root.where(), rows, dataset.rows);
}

void parse_ratings(const Reader& root, Dataset& dataset) {
  dataset.users = root.count("users");
  dataset.items = root.count("items");
  const Reader columns = root.object("columns");
  dataset.user_ids = parse_kind(columns, "user");
  dataset.item_ids = parse_kind(columns, "item");
  dataset.has_values = columns.has("rating");
  dataset.has_weights = columns.has("weight");
  dataset.has_timestamps = columns.has("timestamp");
  const Reader statistics = root.object("statistics");
  if (dataset.has_values) dataset.value = parse_range(statistics.object("rating"));
  if (dataset.has_weights) dataset.weight = parse_range(statistics.object("weight"));
  if (dataset.has_timestamps) {
    dataset.first_timestamp = statistics.object("timestamp").integer("min");
    dataset.last_timestamp = statistics.object("timestamp").integer("max");
  }
  const Reader vocabulary = root.object("vocabulary");
  dataset.user_vocabulary = parse_file(vocabulary.object("user"));
  dataset.item_vocabulary = parse_file(vocabulary.object("item"));
}

void parse_samples(const Reader& root, Dataset& dataset) {
  SampleSummary& samples = dataset.samples;
  samples.rows = dataset.rows;
  samples.entries = root.count("entries");
  samples.num_features = root.count("num_features");
  expect(samples.num_features <= kMaxFeatures, ErrorKind::data, "{}: {} features, at most {}",
         root.where(), samples.num_features, kMaxFeatures);
  samples.has_weights = root.object("columns").has("weight");
  const Reader statistics = root.object("statistics");
  samples.label = parse_range(statistics.object("label"));
  samples.value = parse_range(statistics.object("value"));
  samples.row_entries = parse_range(statistics.object("row_entries"));
  if (samples.has_weights) samples.weight = parse_range(statistics.object("weight"));
  for (const Json& json : statistics.list("classes")) {
    const Reader from(json, statistics.where() + ": classes");
    samples.classes.push_back({from.real("label"), from.count("rows")});
  }
  if (root.has("features")) dataset.features = parse_file(root.object("features"));
}

Dataset parse(const Json& json, const std::string& path) {
  const Reader root(json, path);
  const std::string format = root.text("format");
  expect(format == kRatings || format == kSamples, ErrorKind::data,
         "{}: \"format\" is \"{}\", expected \"{}\" or \"{}\"", path, format, kRatings, kSamples);
  const std::int64_t version = root.integer("version");
  expect(version == Dataset::kVersion, ErrorKind::data,
         "{}: version {}, but this program reads version {}; convert the data again", path, version,
         Dataset::kVersion);
  Dataset dataset;
  dataset.kind = format == kRatings ? DataKind::ratings : DataKind::samples;
  const std::string storage = root.text("storage");
  expect(storage == "hdf5" || storage == "tfrecord", ErrorKind::data,
         "{}: storage \"{}\" is not known", path, storage);
  dataset.format = storage == "hdf5" ? ShardFormat::hdf5 : ShardFormat::tfrecord;
  dataset.rows = root.count("rows");
  dataset.kind == DataKind::ratings ? parse_ratings(root, dataset) : parse_samples(root, dataset);
  parse_shards(root, dataset);
  return dataset;
}

std::string read_checked(const Folder& folder, const FileRecord& record, std::int64_t max_bytes) {
  const InputFile file = folder.open_file(record.name);
  file.verify(record);
  expect(file.size() <= max_bytes, ErrorKind::data, "{}: {} bytes", file.path(), file.size());
  std::string bytes(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, bytes.data(), bytes.size());
  return bytes;
}

void add_ratings(const Dataset& dataset, Json& json) {
  Json columns{{"user", kind_name(dataset.user_ids)}, {"item", kind_name(dataset.item_ids)}};
  Json statistics = Json::object();
  if (dataset.has_values) {
    columns["rating"] = "float32";
    statistics["rating"] = range_json(dataset.value);
  }
  if (dataset.has_weights) {
    columns["weight"] = "float32";
    statistics["weight"] = range_json(dataset.weight);
  }
  if (dataset.has_timestamps) {
    columns["timestamp"] = "int64";
    statistics["timestamp"] = {{"min", dataset.first_timestamp}, {"max", dataset.last_timestamp}};
  }
  json["users"] = dataset.users;
  json["items"] = dataset.items;
  json["columns"] = columns;
  json["statistics"] = statistics;
  json["vocabulary"] = {{"user", file_json(dataset.user_vocabulary)},
                        {"item", file_json(dataset.item_vocabulary)}};
}

void add_samples(const Dataset& dataset, Json& json) {
  const SampleSummary& samples = dataset.samples;
  Json columns{{"label", "float32"}, {"indices", "int32"}, {"values", "float32"}};
  Json classes = Json::array();
  for (const auto& [label, rows] : samples.classes)
    classes.push_back({{"label", label}, {"rows", rows}});
  Json statistics{{"label", range_json(samples.label)},
                  {"value", range_json(samples.value)},
                  {"row_entries", range_json(samples.row_entries)},
                  {"classes", classes}};
  if (samples.has_weights) {
    columns["weight"] = "float32";
    statistics["weight"] = range_json(samples.weight);
  }
  if (dataset.features) json["features"] = file_json(*dataset.features);
  json["num_features"] = samples.num_features;
  json["entries"] = samples.entries;
  json["columns"] = columns;
  json["statistics"] = statistics;
}

}  // namespace

std::int64_t Dataset::bytes() const {
  std::int64_t sum = 0;
  for (const Shard& shard : shards) sum += shard.file.bytes;
  return sum;
}

std::string dataset_to_json(const Dataset& dataset) {
  const bool ratings = dataset.kind == DataKind::ratings;
  Json shards = Json::array();
  for (const Dataset::Shard& shard : dataset.shards) {
    shards.push_back(file_json(shard.file));
    shards.back()["rows"] = shard.rows;
    if (!ratings) shards.back()["entries"] = shard.entries;
  }
  Json json{{"format", ratings ? kRatings : kSamples},
            {"version", Dataset::kVersion},
            {"storage", dataset.format == ShardFormat::hdf5 ? "hdf5" : "tfrecord"},
            {"rows", dataset.rows},
            {"shards", shards}};
  ratings ? add_ratings(dataset, json) : add_samples(dataset, json);
  json["digest"] = xxh128_hex(json.dump());
  return json.dump(1) + "\n";
}

Dataset dataset_from_json(std::string_view text, const std::string& path) {
  try {
    Json json = Json::parse(text.begin(), text.end());
    const Reader root(json, path);
    const std::string digest = root.text("digest");
    const Dataset dataset = parse(json, path);
    json.erase("digest");
    expect(xxh128_hex(json.dump()) == digest, ErrorKind::data,
           "{}: does not match its digest: it was damaged or edited; convert the data again", path);
    return dataset;
  } catch (const Json::exception& error) {
    fail(ErrorKind::data, "{}: {}", path, error.what());
  }
}

Dataset read_dataset(const std::string& folder) {
  const std::string path = folder + "/" + Dataset::kFileName;
  return dataset_from_json(read_file(path, kMaxJsonBytes), path);
}

Vocabulary read_vocabulary(const Folder& folder, const FileRecord& record) {
  const std::string bytes = read_checked(folder, record, kMaxVocabularyBytes);
  try {
    return Vocabulary::deserialize(bytes);
  } catch (const Error& error) {
    fail(error.kind(), "{}/{}: {}", folder.path(), record.name, error.what());
  }
}

FeaturePipeline read_features(const Folder& folder, const Dataset& dataset) {
  const FileRecord& record = dataset.features.value();
  const std::string path = folder.path() + "/" + record.name;
  FeaturePipeline pipeline =
      FeaturePipeline::deserialize(read_checked(folder, record, kMaxFeaturesBytes), path);
  expect(pipeline.num_features() == dataset.samples.num_features, ErrorKind::data,
         "{}: makes {} features, but {} says {}", path, pipeline.num_features(), Dataset::kFileName,
         dataset.samples.num_features);
  return pipeline;
}

InputFile open_shard(const Folder& folder, const Dataset& dataset, std::size_t shard, bool verify) {
  const FileRecord& record = dataset.shards.at(shard).file;
  const std::string name = fmt::format("shard {} of {}", shard + 1, dataset.shards.size());
  try {
    InputFile file = folder.open_file(record.name);
    expect(file.size() >= record.bytes, ErrorKind::data, "{}: truncated: has {} of {} bytes",
           file.path(), file.size(), record.bytes);
    expect(file.size() == record.bytes, ErrorKind::data, "{}: has {} bytes instead of {}",
           file.path(), file.size(), record.bytes);
    if (verify) file.verify(record);
    return file;
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}; get this file again or convert the data again", name, error.what());
  }
}

InputFile open_shard(const Folder& folder, const Dataset& dataset, const std::string& name,
                     bool verify) {
  std::size_t index = 0;
  while (dataset.shards.at(index).file.name != name) ++index;
  return open_shard(folder, dataset, index, verify);
}

PartOfFiles shards_of_part(const Folder& folder, const Dataset& dataset, int part, int parts) {
  std::vector<std::string> names;
  std::vector<std::int64_t> rows;
  for (const Dataset::Shard& shard : dataset.shards) {
    names.push_back(shard.file.name);
    rows.push_back(shard.rows);
  }
  PartOfFiles found{slices_of_part(names, rows, part, parts),
                    part_begin(dataset.rows, part, parts)};
  for (const FileSlice& slice : found.slices) (void)open_shard(folder, dataset, slice.path, false);
  return found;
}

}  // namespace gradmill
