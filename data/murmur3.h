// MurmurHash3_x86_32 as Spark's HashingTF and FeatureHasher use it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace gradmill {

/// Spark's seed (HashingTF.seed).
inline constexpr std::uint32_t kSparkSeed = 42;

/// Source: Austin Appleby, MurmurHash3.cpp (public domain); equal to Murmur3_x86_32.hashUnsafeBytes2 of Spark 3.
inline std::uint32_t murmur3_x86_32(std::string_view bytes, std::uint32_t seed = kSparkSeed) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint32_t c1 = 0xcc9e2d51u, c2 = 0x1b873593u;
  const auto mixed = [](std::uint32_t k) { return std::rotl(k * c1, 15) * c2; };
  std::uint32_t h = seed;
  const char* p = bytes.data();
  const char* const end = p + (bytes.size() & ~std::size_t{3});
  for (; p != end; p += 4) {
    std::uint32_t k;
    std::memcpy(&k, p, 4);
    h = std::rotl(h ^ mixed(k), 13) * 5 + 0xe6546b64u;
  }
  if (const std::size_t left = bytes.size() & 3; left > 0) {
    std::uint32_t k = 0;
    for (std::size_t i = left; i-- > 0;) k = k << 8 | static_cast<unsigned char>(p[i]);
    h ^= mixed(k);
  }
  h ^= static_cast<std::uint32_t>(bytes.size());
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

/// Spark's bucket: the hash as a signed number, modulo the buckets, not negative.
inline std::int32_t hash_bucket(std::string_view bytes, std::int64_t buckets) {
  const auto size = static_cast<std::int32_t>(buckets);  // 32-bit division is several times faster
  const std::int32_t left = static_cast<std::int32_t>(murmur3_x86_32(bytes)) % size;
  return left < 0 ? left + size : left;
}

}  // namespace gradmill
