// Decimal numbers in text, eight digits at a time.
//
// Lemire, "Number parsing at a gigabyte per second", Software: Practice and Experience 51(8), 2021, for the
// digits; Clinger, "How to read floating point numbers accurately", PLDI 1990, for the exact quotient.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "data/text_fields.h"

namespace gradmill {

/// Bytes behind the beginning of a number that may be read.
inline constexpr std::ptrdiff_t kDecimalBytes = 48;

/// Reads the digits, at most 8, at p; returns how many there are.
inline int digits_at(const char* p, std::uint64_t& number) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t text;
  std::memcpy(&text, p, sizeof text);
  text ^= 0x3030303030303030u;  // a digit's byte is now its value
  const std::uint64_t others =
      (((text & 0x7f7f7f7f7f7f7f7fu) + 0x7676767676767676u) | text) & 0x8080808080808080u;
  const int count = others ? std::countr_zero(others) / 8 : 8;
  text = count ? text << (64 - 8 * count) : 0;
  text = text * 10 + (text >> 8);
  number = ((text & 0x000000ff000000ffu) * 0x000f424000000064u +
            ((text >> 16) & 0x000000ff000000ffu) * 0x0000271000000001u) >>
           32;
  return count;
}

/// Reads a number at p, such as "-12.5e-3": the nearest float. Returns its end, or nullptr if it is none, or
/// one that this cannot read exactly (more than 15 digits or so, out of range, "inf"): then parse_value decides.
inline const char* fast_decimal(const char* p, float& value) {
  constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  constexpr std::uint64_t kWholePowers[] = {1,      10,      100,      1000,     10000,
                                            100000, 1000000, 10000000, 100000000};
  const bool negative = *p == '-';
  p += negative || *p == '+';
  std::uint64_t digits = 0, more = 0;
  int count = digits_at(p, digits), places = 0;
  p += count;
  if (count == 8) {
    const int next = digits_at(p, more);
    if (next == 8) return nullptr;
    digits = digits * kWholePowers[next] + more;
    p += next;
  }
  if (*p == '.') {
    const std::uint64_t whole = digits;
    if (whole >= 100'000'000'000) return nullptr;
    int next = digits_at(++p, more);
    digits = digits * kWholePowers[next] + more;
    p += next;
    places = next;
    if (next == 8 && is_digit(*p)) {
      next = digits_at(p, more);
      if (next == 8 || whole >= 100) return nullptr;
      digits = digits * kWholePowers[next] + more;
      p += next;
      places += next;
    }
    count += places;
  }
  if (count == 0 || digits >> 53) return nullptr;
  if ((*p | 0x20) == 'e') {
    const bool down = *++p == '-';
    p += down || *p == '+';
    const int next = digits_at(p, more);
    if (next == 0 || next > 3) return nullptr;
    p += next;
    places += down ? static_cast<int>(more) : -static_cast<int>(more);
  }
  // Both operands are exact, so the result is the double next to the number. It decides the nearest float
  // too, unless it lies halfway between two floats: there the rest that was rounded off counts.
  auto wide = static_cast<double>(digits);
  if (places != 0) {
    if (places > 22 || places < -22) return nullptr;
    wide = places > 0 ? wide / kPowersOfTen[places] : wide * kPowersOfTen[-places];
    if ((std::bit_cast<std::uint64_t>(wide) & 0x1fffffff) == 0x10000000) return nullptr;
    if (wide != 0 && (wide < 0x1p-126 || wide >= 0x1p127)) return nullptr;
  }
  value = static_cast<float>(negative ? -wide : wide);
  return p;
}

}  // namespace gradmill
