// LIBSVM text from any bytes: samples that keep their contract or an Error of kind data, never a crash; all parts
// give together what one gives; and the fast way reads what the careful one reads.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "data/libsvm_parse.h"
#include "runtime/error.h"
#include "tests/fuzz/memory_file.h"

namespace {

using namespace gradmill;

void check(bool ok) {
  if (!ok) std::abort();
}

template <class T>
void append(std::string& text, const T& value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void add_rows(const SampleChunk& chunk, std::string& text) {
  check(chunk.labels.size() + 1 == chunk.offsets.size() && chunk.offsets[0] == 0);
  check(chunk.indices.size() == chunk.values.size() && chunk.offsets.back() == chunk.nnz());
  for (std::size_t r = 0; r < chunk.labels.size(); ++r) {
    check(std::isfinite(chunk.labels[r]) && chunk.offsets[r] <= chunk.offsets[r + 1]);
    append(text, chunk.labels[r]);
    append(text, chunk.offsets[r + 1] - chunk.offsets[r]);
    std::int32_t previous = -1;
    for (auto e = static_cast<std::size_t>(chunk.offsets[r]);
         e < static_cast<std::size_t>(chunk.offsets[r + 1]); ++e) {
      check(chunk.indices[e] > previous && std::isfinite(chunk.values[e]));
      previous = chunk.indices[e];
      append(text, chunk.indices[e]);
      append(text, chunk.values[e]);
    }
  }
}

// All rows as bytes, or nothing if the file was refused.
std::optional<std::string> rows_of(const std::string& path, const SampleReadOptions& options) {
  std::string text;
  try {
    const auto stream = open_libsvm_samples({path}, options);
    SampleChunk chunk;
    while (stream->next(chunk)) add_rows(chunk, text);
  } catch (const Error& e) {
    check(e.kind() == ErrorKind::data);
    return std::nullopt;
  }
  return text;
}

// A piece is long enough for the fast way if blank lines follow; its last line is read carefully.
void compare_ways(std::string_view input) {
  if (std::memchr(input.data(), '\n', input.size())) return;
  LibsvmFormat format;
  format.bad_records = BadRecords::skip;
  ParsedSamples careful, fast;
  const std::string alone(input), padded = alone + std::string(4096, '\n');
  parse_libsvm(alone, format, careful);
  parse_libsvm(padded, format, fast);
  std::string a, b;
  add_rows(careful.chunk, a);
  add_rows(fast.chunk, b);
  check(a == b && careful.bad == fast.bad && careful.qids == fast.qids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 2) return 0;
  SampleReadOptions options;
  options.bad_records = bytes[0] & 1 ? BadRecords::skip : BadRecords::fail;
  options.index_base = static_cast<SampleReadOptions::IndexBase>(bytes[0] / 2 % 3);
  options.num_features = bytes[0] & 64 ? 100 : 0;
  options.chunk_rows = 1 + bytes[1] % 8;
  const testing::MemoryFile file(bytes + 2, size - 2);
  (void)is_libsvm(file.path());
  compare_ways({reinterpret_cast<const char*>(bytes) + 2, size - 2});
  const auto whole = rows_of(file.path(), options);
  if (!whole) return 0;
  std::string together;
  options.parts = 2 + bytes[1] / 8 % 4;
  for (options.part = 0; options.part < options.parts; ++options.part) {
    const auto some = rows_of(file.path(), options);
    check(some.has_value());
    together += *some;
  }
  check(together == *whole);
  return 0;
}
