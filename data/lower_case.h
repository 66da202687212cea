// Lower-casing of UTF-8 text as Java's String.toLowerCase does it, which Spark's Tokenizer uses.
#pragma once

#include <string>
#include <string_view>

namespace gradmill {

/// Appends the text in lower case. All of Unicode's simple mappings, U+0130 ("İ", which becomes two
/// characters) and the Greek sigma, which is ς at the end of a word. A word is here a run of letters that have
/// case, with apostrophes, full stops and combining marks of U+0300 to U+036F within it.
/// `text` is valid UTF-8.
void append_lower_case(std::string_view text, std::string& to);

/// Upper- or lower-case letter of a mapping that append_lower_case knows.
bool has_case(char32_t letter);

/// The code point that begins at text[pos], which is set behind it. `text` is valid UTF-8.
inline char32_t next_code_point(std::string_view text, std::size_t& pos) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
  };
  const char32_t first = byte(pos);
  const std::size_t bytes = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t code = bytes == 1 ? first : first & (0x7F >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(pos + i) & 0x3F);
  pos += bytes;
  return code;
}

}  // namespace gradmill
