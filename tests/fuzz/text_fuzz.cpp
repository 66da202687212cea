// Text ratings from any bytes: rows or an Error of kind data or usage, never a crash; and what all parts
// give together is what one part gives.
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "data/rating_stream.h"
#include "data/vocabulary.h"
#include "runtime/error.h"
#include "tests/fuzz/memory_file.h"

namespace {

using namespace gradmill;

// One text for all rows, or nothing if the file was refused.
std::optional<std::string> rows_text(const std::string& path, const RatingReadOptions& options) {
  std::string text;
  try {
    const auto stream = open_text_ratings({path}, options);
    RatingChunk chunk;
    while (stream->next(chunk)) {
      IdColumn users = chunk.users, items = chunk.items;
      users.make_text();
      items.make_text();
      for (std::int64_t r = 0; r < chunk.rows(); ++r) {
        const auto i = static_cast<std::size_t>(r);
        text.append(users.text(r)).append("\t").append(items.text(r));
        if (!chunk.values.empty()) text += "\t" + std::to_string(chunk.values.at(i));
        if (!chunk.weights.empty()) text += "\t" + std::to_string(chunk.weights.at(i));
        if (!chunk.timestamps.empty()) text += "\t" + std::to_string(chunk.timestamps.at(i));
        text += "\n";
      }
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data && e.kind() != ErrorKind::usage) std::abort();
    return std::nullopt;
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  RatingReadOptions options;
  const std::vector<std::string> delimiters{"", ",", "::", " ", "\t", "ab"};
  options.delimiter = delimiters[bytes[0] % delimiters.size()];
  options.quotes = bytes[1] & 1;
  options.bad_records = bytes[1] & 2 ? BadRecords::skip : BadRecords::fail;
  if (bytes[1] & 4) options.layout = RatingReadOptions::Layout::lists;
  options.has_values = !(bytes[1] & 8);
  options.text_ids = bytes[1] & 16;
  options.chunk_rows = 1 + (bytes[1] >> 5) * (bytes[1] >> 5);
  const testing::MemoryFile file(bytes + 2, size - 2);

  const auto whole = rows_text(file.path(), options);
  if (whole) {
    std::string together;
    options.parts = 1 + bytes[0] / 6 % 5;
    options.chunk_rows = 3;
    for (options.part = 0; options.part < options.parts; ++options.part)
      if (const auto some = rows_text(file.path(), options))
        together += *some;
      else
        std::abort();
    if (together != *whole) std::abort();
  }
  try {
    (void)Vocabulary::deserialize({reinterpret_cast<const char*>(bytes), size});
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data) std::abort();
  }
  return 0;
}
