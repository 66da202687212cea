// Counter-based random numbers: the same on every device, rank and thread, with no state to save.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11
// (Philox4x32-10; test vectors in tests/runtime/random_test.cpp).
#pragma once

#include <cmath>
#include <cstdint>

#include "runtime/view.h"

namespace gradmill {

struct Philox4 {
  std::uint32_t x[4];
};

/// Ten rounds of Philox4x32 of a 128-bit counter under a 64-bit key.
GRADMILL_HD inline Philox4 philox(Philox4 c, std::uint64_t key) {
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * c.x[0], p1 = 0xCD9E8D57ull * c.x[2];
    c = {{static_cast<std::uint32_t>(p1 >> 32) ^ c.x[1] ^ k0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ c.x[3] ^ k1, static_cast<std::uint32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// Which use of random numbers: two uses of one seed never share a number.
enum class RandomStream : std::uint32_t {
  init_users = 1,
  init_items = 2,
  shuffle = 3,
  split = 4,
  negative = 5,
  init_weights = 6,
  dropout = 7
};

GRADMILL_HD inline Philox4 random_bits(std::uint64_t seed, RandomStream stream, std::uint64_t index,
                                       std::uint32_t draw = 0) {
  return philox({{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), draw,
                  static_cast<std::uint32_t>(stream)}},
                seed);
}

/// In [0, 1), 24 bits.
GRADMILL_HD inline float to_unit(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

/// Two standard normal numbers of (index, draw) by Box and Muller.
struct NormalPair {
  float a, b;
};
inline NormalPair random_normal(std::uint64_t seed, RandomStream stream, std::uint64_t index,
                                std::uint32_t draw = 0) {
  const Philox4 r = random_bits(seed, stream, index, draw);
  const double u = (r.x[0] + 1.0) * 0x1p-32, angle = 6.283185307179586 * (r.x[1] * 0x1p-32);
  const double radius = std::sqrt(-2.0 * std::log(u));
  return {static_cast<float>(radius * std::cos(angle)),
          static_cast<float>(radius * std::sin(angle))};
}

/// A keyed permutation of [0, n): balanced Feistel network of Philox with cycle walking, so that an
/// epoch's order is a pure function and nothing is stored. Cost: about two Philox calls an element.
class Permutation {
 public:
  Permutation(std::uint64_t n, std::uint64_t seed, std::uint64_t epoch)
      : n_(n), seed_(seed), epoch_(static_cast<std::uint32_t>(epoch)) {
    while ((std::uint64_t{1} << (2 * half_bits_)) < n_) ++half_bits_;
    mask_ = (std::uint32_t{1} << half_bits_) - 1;
  }
  std::uint64_t operator()(std::uint64_t i) const {
    do i = once(i);
    while (i >= n_);
    return i;
  }

 private:
  std::uint64_t once(std::uint64_t i) const {
    auto left = static_cast<std::uint32_t>(i >> half_bits_),
         right = static_cast<std::uint32_t>(i) & mask_;
    for (std::uint32_t round = 0; round < 4; ++round) {
      const Philox4 r = philox(
          {{right, round, epoch_, static_cast<std::uint32_t>(RandomStream::shuffle)}}, seed_);
      const std::uint32_t next = left ^ (r.x[0] & mask_);
      left = right;
      right = next;
    }
    return (static_cast<std::uint64_t>(left) << half_bits_) | right;
  }
  std::uint64_t n_, seed_;
  std::uint32_t epoch_, mask_ = 0;
  unsigned half_bits_ = 1;
};

}  // namespace gradmill
