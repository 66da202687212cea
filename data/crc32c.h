// CRC-32C (Castagnoli), the checksum of TFRecord frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gradmill {

/// CRC-32C of `bytes` appended to data whose CRC is `before`. The CPU's CRC instruction where it has
/// one (chosen at run time), else tables.
/// Source   RFC 3720 B.4; three interleaved streams as in M. Adler, crc32c.c (2013).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);

/// The same by tables alone: the reference in the tests.
std::uint32_t crc32c_by_tables(std::string_view bytes, std::uint32_t before = 0);

/// TFRecord stores CRCs masked, since the CRC of data that embed their own CRC is weak.
constexpr std::uint32_t mask_crc(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

}  // namespace gradmill
