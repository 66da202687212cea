// Notes the bad records of a piece of text while it is parsed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "data/text_pieces.h"

namespace gradmill {

/// Bad records come in the order of the text. Lines are counted only where there is one.
class BadTextNotes {
 public:
  /// Empties `out`. `fail`: nothing is to be parsed behind the first bad record.
  BadTextNotes(std::string_view text, bool fail, ParsedLines& out);
  /// `at` is a byte of the text.
  void add(BadRecord why, std::size_t at, std::string what);
  /// If the record text[begin, end) is longer than the layout allows, notes that and stops.
  bool too_long(std::size_t begin, std::size_t end, const TextLayout& layout);
  /// Nothing more is to be parsed.
  bool stop() const { return stop_; }

 private:
  std::string_view text_;
  bool fail_, stop_ = false;
  ParsedLines& out_;
  std::size_t counted_ = 0;  // text up to here has line_ newlines
  std::int64_t line_ = 0;
};

/// The beginning of a field for a message, in quotes; what cannot be printed becomes '?'.
std::string quoted_field(std::string_view text);

}  // namespace gradmill
