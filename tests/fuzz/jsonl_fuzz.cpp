// JSON lines from any bytes: records or an Error of kind data, never a crash; lines that a JSON library takes as
// flat objects are not refused; and what all parts give together is what one part gives.
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/json_line.h"
#include "data/record_stream.h"
#include "runtime/error.h"
#include "tests/fuzz/memory_file.h"

namespace {

using namespace gradmill;

// One text for all records, or nothing if the file was refused.
std::optional<std::string> records_text(const std::string& path, const RecordReadOptions& options) {
  std::string text;
  try {
    const auto stream = open_json_records({path}, options);
    RecordChunk chunk;
    while (stream->next(chunk))
      for (std::int64_t r = 0; r < chunk.rows; ++r) {
        for (const RecordColumn& column : chunk.columns) {
          if (column.kind == ColumnKind::number)
            text += std::to_string(column.numbers.at(static_cast<std::size_t>(r)));
          else
            text += column.texts.text(r);
          text += '\t';
        }
        text += '\n';
      }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data) std::abort();
    return std::nullopt;
  }
  return text;
}

void compare_with_library(const std::string& line) {
  JsonLine parser;
  std::vector<JsonLine::Member> members;
  const bool taken = !parser.parse(line, members).what;
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (json.is_object() && !taken) std::abort();
  if (!json.is_object() || members.size() != json.size()) return;  // names that are there twice
  for (const auto& [name, value] : members) {
    const auto& want = json.at(std::string(name));
    if (value.kind == JsonValue::Kind::string && want.get<std::string>() != value.text)
      std::abort();
    if ((value.kind == JsonValue::Kind::number) != want.is_number()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(bytes + 1), size - 1);
  compare_with_library(text.substr(0, text.find('\n')));
  RecordReadOptions options;
  options.bad_records = bytes[0] & 1 ? BadRecords::skip : BadRecords::fail;
  options.chunk_rows = 1 + (bytes[0] >> 5);
  options.columns = {{"a", bytes[0] & 2 ? ColumnKind::number : ColumnKind::text},
                     {"b", ColumnKind::text}};
  if (bytes[0] & 4) options.columns.clear();
  const testing::MemoryFile file(bytes + 1, size - 1);
  const auto whole = records_text(file.path(), options);
  if (!whole) return 0;
  std::string together;
  options.parts = 3;
  for (options.part = 0; options.part < options.parts; ++options.part) {
    const auto part = records_text(file.path(), options);
    if (!part) std::abort();
    together += *part;
  }
  if (together != *whole) std::abort();
  return 0;
}
