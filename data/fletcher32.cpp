#include "data/fletcher32.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gradmill {
namespace {

static_assert(std::endian::native == std::endian::little);

using Lanes = std::uint32_t __attribute__((vector_size(64)));
constexpr std::size_t kLanes = 16, kWordsOfVector = 2 * kLanes;
// So many steps keep the 32-bit lanes of the double sum below 2^32: 65535 * 360 * 361 / 2.
constexpr std::size_t kMaxSteps = 360;

/// Sums modulo 65535 of little-endian words w[0 .. n): sum = Σ w[i], sums = Σ (n - i) w[i].
struct Sums {
  std::uint64_t sum = 0, sums = 0;
};

std::uint64_t total(const Lanes& lanes) {
  std::uint64_t sum = 0;
  for (std::size_t l = 0; l < kLanes; ++l) sum += lanes[l];
  return sum;
}

/// Appends steps * 32 words: lane l of step j holds words 32 j + 2 l and 32 j + 2 l + 1.
Sums append_vectors(Sums before, const char* p, std::size_t steps) {
  Lanes low_sum{}, high_sum{}, low_sums{}, high_sums{};
  for (std::size_t j = 0; j < steps; ++j) {
    Lanes words;
    std::memcpy(&words, p + j * sizeof words, sizeof words);
    low_sum += words & 0xffffu;
    high_sum += words >> 16;
    low_sums += low_sum;  // after the loop: Σ (steps - j) w
    high_sums += high_sum;
  }
  // Word k = 32 j + 2 l + h counts n - k = 32 (steps - j) - (2 l + h) times.
  Sums after;
  const std::uint64_t words = steps * kWordsOfVector;
  std::uint64_t offsets = 0;
  for (std::size_t l = 0; l < kLanes; ++l)
    offsets += 2 * l * low_sum[l] + (2 * l + 1) * std::uint64_t{high_sum[l]};
  after.sum = before.sum + total(low_sum) + total(high_sum);
  after.sums = before.sums + words * before.sum +
               kWordsOfVector * (total(low_sums) + total(high_sums)) - offsets;
  return {after.sum % 65535, after.sums % 65535};
}

/// HDF5 folds carries, so only data of zeros give 0; other multiples of 65535 are 0xffff. Its words
/// are big-endian: swapping the bytes of every word multiplies both sums by 256 modulo 65535.
std::uint32_t folded(std::uint64_t sum, bool any) {
  const std::uint64_t swapped = sum * 256 % 65535;
  return static_cast<std::uint32_t>(swapped == 0 && any ? 0xffff : swapped);
}

bool any_bit(const char* p, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    if (p[i]) return true;
  return false;
}

}  // namespace

std::uint32_t fletcher32(const void* bytes, std::size_t size) {
  const auto* p = static_cast<const char*>(bytes);
  std::size_t left = size;
  Sums sums;
  while (left >= sizeof(Lanes)) {
    const std::size_t steps = std::min(left / sizeof(Lanes), kMaxSteps);
    sums = append_vectors(sums, p, steps);
    p += steps * sizeof(Lanes);
    left -= steps * sizeof(Lanes);
  }
  while (left > 0) {
    std::uint16_t word = 0;
    std::memcpy(&word, p, std::min<std::size_t>(left, 2));
    sums.sum += word;
    sums.sums += sums.sum;
    p += 2;
    left -= std::min<std::size_t>(left, 2);
  }
  sums.sum %= 65535;
  sums.sums %= 65535;
  const bool any = sums.sum || sums.sums || any_bit(static_cast<const char*>(bytes), size);
  return folded(sums.sums, any) << 16 | folded(sums.sum, any);
}

}  // namespace gradmill
