// Is a text UTF-8?
#pragma once

#include <cstdint>
#include <cstring>
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

}  // namespace gradmill
