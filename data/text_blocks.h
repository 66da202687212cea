// Cuts a text file into pieces that begin and end at records.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "data/byte_source.h"
#include "data/text_layout.h"

namespace gradmill {

struct TextBlock {
  std::string text;
  std::int64_t offset = 0;  // of its first byte in the (unpacked) file
};

/// Gives the records whose first byte lies in [begin, end) of the file (of the unpacked bytes of a gzip
/// file), so neighbouring ranges share the records out, each once. To know whether a byte lies within
/// quotes, what stands before `begin` is looked through, unless the layout has no quotes.
class TextBlocks {
 public:
  static constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int64_t>::max();

  TextBlocks(std::string path, const TextLayout& layout, std::int64_t begin, std::int64_t end,
             std::int64_t block_bytes);

  /// The next piece, of about block_bytes and at least one record; false at the end.
  /// Errors: ErrorKind::data for a line longer than layout.max_line_bytes, or a quote that is never closed.
  bool next(TextBlock& block);

 private:
  [[noreturn]] void refuse(std::int64_t offset, std::string_view why) const;

  std::string path_;
  CsvRecordEnds ends_;
  std::size_t max_line_bytes_;
  std::string_view too_long_;
  std::int64_t block_bytes_;
  std::unique_ptr<ByteSource> source_;
  std::string rest_;  // read, but behind the last piece
  bool source_ended_ = false;
  std::int64_t position_, end_;  // bytes: where rest_ begins, where the range ends
};

}  // namespace gradmill
