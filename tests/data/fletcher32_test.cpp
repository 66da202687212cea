#include "data/fletcher32.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace gradmill {
namespace {

/// H5_checksum_fletcher32 word for word: big-endian words, carries folded.
std::uint32_t by_the_book(const std::string& bytes) {
  std::uint64_t sum = 0, sums = 0;
  const auto fold = [](std::uint64_t value) {
    while (value > 0xffff) value = (value & 0xffff) + (value >> 16);
    return value;
  };
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = static_cast<unsigned char>(bytes[i]);
    const auto low = i + 1 < bytes.size() ? static_cast<unsigned char>(bytes[i + 1]) : 0;
    sum = fold(sum + static_cast<std::uint64_t>(high * 256 + low));
    sums = fold(sums + sum);
  }
  return static_cast<std::uint32_t>(sums << 16 | sum);
}

TEST(Fletcher32, AgreesWithTheDefinitionAtAllLengths) {
  std::mt19937 random(1);
  for (std::size_t length = 0; length < 1500; ++length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ASSERT_EQ(fletcher32(bytes.data(), length), by_the_book(bytes)) << length;
  }
  for (const std::size_t length : {23'039, 23'040, 23'041, 100'000, 1'000'001}) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ASSERT_EQ(fletcher32(bytes.data(), length), by_the_book(bytes)) << length;
  }
}

TEST(Fletcher32, KeepsZeroAndMultiplesOf65535Apart) {
  for (const char byte : {'\0', '\xff'})
    for (const std::size_t length : {0, 1, 2, 64, 65, 4096, 100'000}) {
      const std::string bytes(length, byte);
      EXPECT_EQ(fletcher32(bytes.data(), length), by_the_book(bytes)) << length;
    }
  std::string bytes(5000, '\0');  // two words whose sum is 65535
  bytes[100] = 1;
  bytes[101] = 2;
  bytes[4000] = '\xfe';
  bytes[4001] = '\xfd';
  EXPECT_EQ(fletcher32(bytes.data(), bytes.size()), by_the_book(bytes));
}

}  // namespace
}  // namespace gradmill
