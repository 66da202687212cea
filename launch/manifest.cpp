#include "launch/manifest.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "launch/safetensors.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "gradmill checkpoint";
constexpr std::string_view kDigestField = ",\n  \"manifest_digest\": \"";
constexpr std::string_view kEnd = "\"\n}\n";
constexpr std::size_t kDigestDigits = 32;
constexpr int kMaxDepth = 8;

// ---- to JSON

Json file_json(const FileRecord& file) {
  std::string blocks;
  for (const std::uint64_t block : file.blocks) blocks += fmt::format("{:016x}", block);
  return {{"name", file.name}, {"bytes", file.bytes}, {"digest", file.digest}, {"blocks", blocks}};
}

Json tensor_json(const TensorEntry& tensor) {
  Json pieces = Json::array();
  for (const TensorPiece& p : tensor.pieces) {
    pieces.push_back({{"file", p.file}, {"first_row", p.first_row}, {"rows", p.rows}});
  }
  return {{"name", tensor.name},
          {"dtype", dtype_name(tensor.type)},
          {"shape", tensor.shape},
          {"pieces", pieces}};
}

Json info_json(const CheckpointInfo& info) {
  Json metrics = Json::object();
  for (const auto& [name, value] : info.metrics)
    metrics[name] = std::isfinite(value) ? Json(value) : Json(nullptr);
  return {{"run_id", info.run_id},
          {"kind", info.kind},
          {"step", info.step},
          {"epoch", info.epoch},
          {"sample_position", info.sample_position},
          {"seed", info.seed},
          {"generation", info.generation},
          {"world_size", info.world_size},
          {"data_digest", info.data_digest},
          {"config_digest", xxh128_hex(info.config)},
          {"config", info.config},
          {"metrics", metrics},
          {"metrics_bytes", info.metrics_bytes},
          {"versions", info.versions}};
}

// ---- from JSON

/// One object of the document with its place for messages.
class Fields {
 public:
  Fields(const Json& object, const std::string& path, std::string place)
      : object_(object), path_(path), place_(std::move(place)) {
    if (!object.is_object()) refuse("", "an object expected");
  }

  const Json& at(const char* field) const {
    const auto found = object_.find(field);
    if (found == object_.end()) refuse(field, "missing");
    return *found;
  }
  bool has(const char* field) const { return object_.contains(field); }
  std::string text(const char* field) const {
    const Json& value = at(field);
    if (!value.is_string()) refuse(field, "text expected");
    return value.get<std::string>();
  }
  std::uint64_t natural(const char* field, std::uint64_t max = INT64_MAX) const {
    const Json& value = at(field);
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > max) {
      refuse(field, fmt::format("a whole number from 0 to {} expected", max));
    }
    return value.get<std::uint64_t>();
  }
  std::int64_t size(const char* field) const { return static_cast<std::int64_t>(natural(field)); }
  const Json& list(const char* field) const {
    const Json& value = at(field);
    if (!value.is_array()) refuse(field, "a list expected");
    return value;
  }
  const Json& object(const char* field) const {
    const Json& value = at(field);
    if (!value.is_object()) refuse(field, "an object expected");
    return value;
  }
  [[noreturn]] void refuse(std::string_view field, std::string_view why) const {
    fail(ErrorKind::data, "{}: {}{}{}: {}", path_, place_,
         place_.empty() || field.empty() ? "" : ".", field, why);
  }

 private:
  const Json& object_;
  const std::string& path_;
  std::string place_;
};

CheckpointInfo parse_info(const Fields& fields) {
  CheckpointInfo info;
  info.run_id = fields.text("run_id");
  info.kind = fields.text("kind");
  info.step = fields.size("step");
  info.epoch = fields.size("epoch");
  info.sample_position = fields.size("sample_position");
  info.seed = fields.natural("seed", UINT64_MAX);
  if (fields.has("generation")) info.generation = fields.size("generation");
  info.world_size = static_cast<int>(fields.natural("world_size", INT32_MAX));
  info.data_digest = fields.text("data_digest");
  info.config = fields.text("config");
  if (fields.text("config_digest") != xxh128_hex(info.config))
    fields.refuse("config", "is not what config_digest says");
  info.metrics_bytes = fields.size("metrics_bytes");
  for (const auto& [name, value] : fields.object("metrics").items()) {
    if (!value.is_number() && !value.is_null())
      fields.refuse("metrics." + name, "a number or null expected");
    info.metrics[name] =
        value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
  }
  for (const auto& [name, value] : fields.object("versions").items()) {
    if (!value.is_string()) fields.refuse("versions." + name, "text expected");
    info.versions[name] = value.get<std::string>();
  }
  return info;
}

FileRecord parse_file(const Fields& fields) {
  FileRecord file;
  file.name = fields.text("name");
  if (!is_plain_name(file.name)) fields.refuse("name", "a plain file name expected");
  file.bytes = fields.size("bytes");
  file.digest = fields.text("digest");
  const std::string blocks = fields.text("blocks");
  if (blocks.size() % 16 != 0) fields.refuse("blocks", "16 digits a block expected");
  for (const char* digits = blocks.data(); digits < blocks.data() + blocks.size(); digits += 16) {
    std::uint64_t block = 0;
    const auto [end, error] = std::from_chars(digits, digits + 16, block, 16);
    if (error != std::errc{} || end != digits + 16)
      fields.refuse("blocks", "hexadecimal digits expected");
    file.blocks.push_back(block);
  }
  return file;
}

TensorEntry parse_tensor(const Fields& fields, const std::string& path, const std::string& place) {
  TensorEntry tensor;
  tensor.name = fields.text("name");
  if (!parse_dtype(fields.text("dtype"), tensor.type))
    fields.refuse("dtype", "F32, F64, I32, I64 or U8 expected");
  for (const Json& extent : fields.list("shape")) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > INT64_MAX)
      fields.refuse("shape", "sizes expected");
    tensor.shape.push_back(extent.get<std::int64_t>());
  }
  if (tensor.shape.empty() || tensor.shape.size() > SafetensorsLimits::kDimensions) {
    fields.refuse("shape", "1 to 8 sizes expected");
  }
  for (const Json& piece : fields.list("pieces")) {
    const Fields piece_fields(piece, path, place + ".pieces");
    tensor.pieces.push_back(
        {piece_fields.text("file"), piece_fields.size("first_row"), piece_fields.size("rows")});
  }
  return tensor;
}

/// The document without its digest, which is checked.
std::string_view digested_part(std::string_view text, const std::string& path) {
  const std::size_t tail = kDigestField.size() + kDigestDigits + kEnd.size();
  const bool whole = text.size() > tail && text.ends_with(kEnd) &&
                     text.substr(text.size() - tail).starts_with(kDigestField);
  expect(whole, ErrorKind::data, "{}: cut off or not a manifest: it does not end with its digest",
         path);
  const std::string_view body = text.substr(0, text.size() - tail);
  const std::string_view digest = text.substr(body.size() + kDigestField.size(), kDigestDigits);
  const std::string found = xxh128_hex(body);
  expect(digest == found, ErrorKind::data, "{}: damaged: its digest is {} instead of {}", path,
         found, digest);
  return body;
}

}  // namespace

const TensorEntry* Manifest::find_tensor(std::string_view name) const {
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [&](const TensorEntry& t) { return t.name == name; });
  return at == tensors.end() ? nullptr : &*at;
}

const FileRecord* Manifest::find_file(std::string_view name) const {
  const auto at =
      std::find_if(files.begin(), files.end(), [&](const FileRecord& f) { return f.name == name; });
  return at == files.end() ? nullptr : &*at;
}

std::string manifest_text(const Manifest& manifest) {
  Json document{{"format", kFormat}, {"format_version", Manifest::kFormatVersion}};
  document.update(info_json(manifest.info));
  document["tensors"] = Json::array();
  for (const TensorEntry& t : manifest.tensors) document["tensors"].push_back(tensor_json(t));
  document["files"] = Json::array();
  for (const FileRecord& f : manifest.files) document["files"].push_back(file_json(f));
  std::string text = document.dump(2);  // throws on text that is not UTF-8
  text.resize(text.size() - 2);         // "\n}"
  const std::string digest = xxh128_hex(text);
  text += kDigestField;
  text += digest;
  text += kEnd;
  return text;
}

Manifest parse_manifest(std::string_view text, const std::string& path) {
  const std::string body = std::string(digested_part(text, path)) + "\n}";
  const auto shallow = [&](int depth, Json::parse_event_t, const Json&) {
    expect(depth <= kMaxDepth, ErrorKind::data, "{}: nested more than {} deep", path, kMaxDepth);
    return true;
  };
  Json document;
  try {
    document = Json::parse(body, shallow);
  } catch (const Json::parse_error& e) {
    fail(ErrorKind::data, "{}: not JSON at byte {}", path, e.byte);
  }

  const Fields fields(document, path, "");
  expect(fields.text("format") == kFormat, ErrorKind::data, "{}: format {:?} expected", path,
         kFormat);
  const std::uint64_t version = fields.natural("format_version");
  expect(
      version == Manifest::kFormatVersion, ErrorKind::data,
      "{}: format_version {} is not the {} that this gradmill reads; use the version that wrote it",
      path, version, Manifest::kFormatVersion);
  Manifest manifest;
  manifest.info = parse_info(fields);
  for (const Json& tensor : fields.list("tensors")) {
    const std::string place = fmt::format("tensors[{}]", manifest.tensors.size());
    manifest.tensors.push_back(parse_tensor(Fields(tensor, path, place), path, place));
  }
  for (const Json& file : fields.list("files")) {
    manifest.files.push_back(
        parse_file(Fields(file, path, fmt::format("files[{}]", manifest.files.size()))));
  }
  return manifest;
}

void check_manifest(Manifest& manifest, const std::string& path) {
  std::set<std::string_view> files, tensors;
  for (const FileRecord& file : manifest.files) {
    expect(files.insert(file.name).second, ErrorKind::data, "{}: file {:?} is listed twice", path,
           file.name);
  }
  for (TensorEntry& tensor : manifest.tensors) {
    expect(tensors.insert(tensor.name).second, ErrorKind::data, "{}: tensor {:?} is listed twice",
           path, tensor.name);
    std::sort(tensor.pieces.begin(), tensor.pieces.end(),
              [](const TensorPiece& a, const TensorPiece& b) { return a.first_row < b.first_row; });
    std::int64_t bytes = element_size(tensor.type);
    for (const std::int64_t extent : tensor.shape) {
      expect(!__builtin_mul_overflow(bytes, std::max<std::int64_t>(extent, 1), &bytes),
             ErrorKind::data, "{}: tensor {:?}: its shape has more than 2^63 bytes", path,
             tensor.name);
    }
    std::int64_t row = 0;
    for (const TensorPiece& piece : tensor.pieces) {
      expect(files.contains(piece.file) && is_tensor_file(piece.file), ErrorKind::data,
             "{}: tensor {:?}: {:?} is no safetensors file of the list", path, tensor.name,
             piece.file);
      expect(piece.first_row == row && piece.rows > 0 && piece.rows <= tensor.shape[0] - row,
             ErrorKind::data,
             "{}: tensor {:?}: {} rows from row {} given where row {} of {} is next", path,
             tensor.name, piece.rows, piece.first_row, row, tensor.shape[0]);
      row += piece.rows;
    }
    expect(row == tensor.shape[0], ErrorKind::data, "{}: tensor {:?}: rows {} to {} are missing",
           path, tensor.name, row, tensor.shape[0]);
  }
}

}  // namespace gradmill
