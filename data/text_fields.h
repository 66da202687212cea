// Fields of text. Numbers are read in two ways: careful for every notation, fast for plain digits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "data/rating_stream.h"

namespace gradmill {

/// Without blanks and tabs at its ends.
std::string_view trimmed(std::string_view text);

/// In quotes for a message: at most 40 bytes, '?' for what is not printable ASCII.
std::string quoted(std::string_view text);

/// A finite number in decimal notation ("3", "-.5", "+1e-3"); false otherwise. Values that a float
/// cannot hold are refused, those too small for it become 0.
bool parse_value(std::string_view text, float& value);

/// A 64-bit integer; a fraction, as pandas writes it ("978300760.0"), is dropped.
bool parse_timestamp(std::string_view text, std::int64_t& timestamp);

/// Why text is not a finite number that a float can hold, given that it is none.
BadRecord why_no_number(std::string_view text);

/// Read plain digits without looking for quotes, signs or exponents, from text that ends with a '\0'. Each
/// returns the end of the field, or nullptr if the field is not that plain: then the careful way decides.
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

inline const char* plain_id(const char* p, std::int64_t& id) {
  const char* begin = p;
  std::uint64_t n = 0;
  while (is_digit(*p)) n = n * 10 + static_cast<std::uint64_t>(*p++ - '0');
  if (p == begin || p - begin > 18 || (*begin == '0' && p - begin > 1)) return nullptr;
  id = static_cast<std::int64_t>(n);
  return p;
}

// At most 7 digits and 10 places: both parts are exact in float, so one division rounds correctly
// (Clinger, "How to read floating point numbers accurately", PLDI 1990).
inline const char* plain_value(const char* p, float& value) {
  constexpr float kPowersOfTen[] = {1e0f, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f,
                                    1e6f, 1e7f, 1e8f, 1e9f, 1e10f};
  const char* begin = p;
  std::uint32_t n = 0;
  while (is_digit(*p)) n = n * 10 + static_cast<std::uint32_t>(*p++ - '0');
  auto digits = p - begin;
  std::ptrdiff_t places = 0;
  if (*p == '.') {
    const char* point = p++;
    while (is_digit(*p)) n = n * 10 + static_cast<std::uint32_t>(*p++ - '0');
    places = p - point - 1;
    digits += places;
  }
  if (digits == 0 || digits > 7) return nullptr;
  value = places ? static_cast<float>(n) / kPowersOfTen[places] : static_cast<float>(n);
  return p;
}

// At most 15 digits and 22 places: both parts are exact in double, so one division rounds correctly.
inline const char* plain_number(const char* p, double& number) {
  constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const bool negative = *p == '-';
  p += negative;
  const char* begin = p;
  std::uint64_t n = 0;
  while (is_digit(*p)) n = n * 10 + static_cast<std::uint64_t>(*p++ - '0');
  auto digits = p - begin;
  std::ptrdiff_t places = 0;
  if (*p == '.') {
    const char* point = p++;
    while (is_digit(*p)) n = n * 10 + static_cast<std::uint64_t>(*p++ - '0');
    places = p - point - 1;
    digits += places;
  }
  if (digits == 0 || digits > 15) return nullptr;
  number = static_cast<double>(n) / kPowersOfTen[places];
  if (negative) number = -number;
  return p;
}

}  // namespace gradmill
