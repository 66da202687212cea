#include "data/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace gradmill {
namespace {

std::string random_bytes(std::size_t count, std::uint64_t seed) {
  std::string bytes(count, '\0');
  std::uint64_t state = seed * 2 + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

std::uint32_t bit_by_bit(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720 B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Crc32c, AllWaysAgreeOnAllLengths) {
  for (std::size_t length = 0; length < 700; ++length) {
    const std::string bytes = random_bytes(length, length);
    ASSERT_EQ(crc32c(bytes), bit_by_bit(bytes)) << length;
    ASSERT_EQ(crc32c_by_tables(bytes), bit_by_bit(bytes)) << length;
  }
  for (const std::size_t length :
       {6143, 6144, 6145, 6144 + 191, 6144 + 192, 3 * 6144 + 777, 100'000}) {
    const std::string bytes = random_bytes(length, length);
    ASSERT_EQ(crc32c(bytes), bit_by_bit(bytes)) << length;
    ASSERT_EQ(crc32c_by_tables(bytes), bit_by_bit(bytes)) << length;
  }
}

TEST(Crc32c, ContinuesFromAnEarlierPart) {
  const std::string bytes = random_bytes(10'000, 7);
  const std::string_view all = bytes;
  for (const std::size_t cut : {0, 1, 63, 4097, 9999, 10'000})
    EXPECT_EQ(crc32c(all.substr(cut), crc32c(all.substr(0, cut))), crc32c(all)) << cut;
}

}  // namespace
}  // namespace gradmill
