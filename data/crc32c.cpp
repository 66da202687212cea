#include "data/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace gradmill {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reflected

using Table = std::array<std::uint32_t, 256>;

/// a * b modulo the polynomial; bit 31 is x^0.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1u << 31; bit; bit >>= 1) {
    if (a & bit) product ^= b;
    b = b & 1 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

constexpr std::uint32_t power_of_x(std::uint64_t n) {
  std::uint32_t power = 1u << 31, square = 1u << 30;
  for (; n; n >>= 1, square = multiply(square, square))
    if (n & 1) power = multiply(power, square);
  return power;
}

/// Tables[k][b]: the effect on the register of byte b that is followed by k more bytes.
constexpr std::array<Table, 8> make_slices() {
  std::array<Table, 8> slices{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ kPolynomial : crc >> 1;
    slices[0][b] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t b = 0; b < 256; ++b)
      slices[k][b] = (slices[k - 1][b] >> 8) ^ slices[0][slices[k - 1][b] & 0xff];
  return slices;
}
constexpr std::array<Table, 8> kSlices = make_slices();

std::uint64_t load(const char* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::uint32_t update_by_tables(std::uint32_t crc, const char* p, std::size_t bytes) {
  for (; bytes >= 8; bytes -= 8, p += 8) {
    const std::uint64_t word = load(p) ^ crc;
    crc = 0;
    for (unsigned k = 0; k < 8; ++k) crc ^= kSlices[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; bytes; --bytes, ++p)
    crc = (crc >> 8) ^ kSlices[0][(crc ^ static_cast<unsigned char>(*p)) & 0xff];
  return crc;
}

#if defined(__x86_64__)
/// Tables that move a register past `bytes` zero bytes.
constexpr std::array<Table, 4> make_shift(std::uint64_t bytes) {
  const std::uint32_t factor = power_of_x(8 * bytes);
  std::array<Table, 4> shift{};
  for (unsigned k = 0; k < 4; ++k)
    for (std::uint32_t b = 0; b < 256; ++b) shift[k][b] = multiply(factor, b << (8 * k));
  return shift;
}
constexpr std::size_t kLong = 2048, kShort = 64;
constexpr std::array<Table, 4> kShiftLong = make_shift(kLong), kShiftShort = make_shift(kShort);

std::uint32_t shift(const std::array<Table, 4>& by, std::uint32_t crc) {
  return by[0][crc & 0xff] ^ by[1][(crc >> 8) & 0xff] ^ by[2][(crc >> 16) & 0xff] ^
         by[3][crc >> 24];
}

/// The instruction takes three cycles but can start each cycle: three streams side by side.
template <std::size_t Stream>
__attribute__((target("sse4.2"))) std::uint32_t three_streams(std::uint32_t crc, const char*& p,
                                                              std::size_t& bytes,
                                                              const std::array<Table, 4>& by) {
  for (; bytes >= 3 * Stream; bytes -= 3 * Stream, p += 3 * Stream) {
    std::uint64_t a = crc, b = 0, c = 0;
    for (std::size_t i = 0; i < Stream; i += 8) {
      a = _mm_crc32_u64(a, load(p + i));
      b = _mm_crc32_u64(b, load(p + Stream + i));
      c = _mm_crc32_u64(c, load(p + 2 * Stream + i));
    }
    crc = shift(by, static_cast<std::uint32_t>(a)) ^ static_cast<std::uint32_t>(b);
    crc = shift(by, crc) ^ static_cast<std::uint32_t>(c);
  }
  return crc;
}

__attribute__((target("sse4.2"))) std::uint32_t update_by_instruction(std::uint32_t crc,
                                                                      const char* p,
                                                                      std::size_t bytes) {
  crc = three_streams<kLong>(crc, p, bytes, kShiftLong);
  crc = three_streams<kShort>(crc, p, bytes, kShiftShort);
  std::uint64_t wide = crc;
  for (; bytes >= 8; bytes -= 8, p += 8) wide = _mm_crc32_u64(wide, load(p));
  crc = static_cast<std::uint32_t>(wide);
  for (; bytes; --bytes, ++p) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*p));
  return crc;
}

bool has_instruction() { return __builtin_cpu_supports("sse4.2") != 0; }
#else
std::uint32_t update_by_instruction(std::uint32_t crc, const char* p, std::size_t bytes) {
  return update_by_tables(crc, p, bytes);
}
bool has_instruction() { return false; }
#endif

}  // namespace

std::uint32_t crc32c(std::string_view bytes, std::uint32_t before) {
  static const bool fast = has_instruction();
  const auto update = fast ? update_by_instruction : update_by_tables;
  return ~update(~before, bytes.data(), bytes.size());
}

std::uint32_t crc32c_by_tables(std::string_view bytes, std::uint32_t before) {
  return ~update_by_tables(~before, bytes.data(), bytes.size());
}

}  // namespace gradmill
