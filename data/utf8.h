// UTF-8: is a text that, and code points as text.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gradmill {

/// True for well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates) without U+0000.
inline bool is_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  constexpr std::uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  for (std::size_t i = 0; i < text.size();) {
    if (std::uint64_t eight; i + 8 <= text.size()) {  // all ASCII, none zero?
      std::memcpy(&eight, text.data() + i, 8);
      if (((eight | (eight - kOnes)) & kHigh) == 0) {
        i += 8;
        continue;
      }
    }
    const unsigned first = byte(i);
    if (first == 0) return false;
    if (first < 0x80) {
      ++i;
      continue;
    }
    const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) return false;
    const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (byte(i + 1) < low || byte(i + 1) > high) return false;
    for (std::size_t k = 2; k < bytes; ++k)
      if (byte(i + k) < 0x80 || byte(i + k) > 0xBF) return false;
    i += bytes;
  }
  return true;
}

/// Appends a code point (up to U+10FFFF, no surrogate) in one to four bytes.
inline void append_utf8(char32_t code, std::string& to) {
  const auto put = [&](char32_t byte) { to += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace gradmill
