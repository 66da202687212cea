// Sums of doubles without any rounding, so they do not depend on the order or on how the data were cut.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace gradmill {

/// A fixed-point number that covers every finite double: limbs of 32 bits held in 64, with carries
/// resolved now and then. Source: R. M. Neal, "Fast exact summation using small and large
/// superaccumulators", arXiv:1505.05571.
class ExactSum {
 public:
  void add(double x) {  // finite
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const bool negative = bits >> 63;
    const auto exponent = static_cast<int>(bits >> 52 & 0x7ff);
    std::uint64_t size = bits & ((std::uint64_t{1} << 52) - 1);
    if (exponent > 0) size |= std::uint64_t{1} << 52;
    const int bit = exponent > 0 ? exponent - 1 : 0;  // of the lowest bit of size
    const auto limb = static_cast<std::size_t>(bit / 32);
    const unsigned __int128 wide = static_cast<unsigned __int128>(size) << (bit % 32);
    for (std::size_t i = 0; i < 3; ++i) {
      const auto part =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(wide >> (32 * i)) & 0xffffffffu);
      limbs_[limb + i] += negative ? -part : part;
    }
    if (++adds_ == kMaxAdds) carry();
  }
  /// x * x, as the sum of the rounded square and what the rounding lost.
  void add_square(double x) {
    const double square = x * x;
    add(square);
    add(std::fma(x, x, -square));
  }
  void add(const ExactSum& other) {
    carry();
    ExactSum resolved = other;
    resolved.carry();
    for (std::size_t i = 0; i < kLimbs; ++i) limbs_[i] += resolved.limbs_[i];
    carry();
  }

  long double value() const {
    ExactSum resolved = *this;
    resolved.carry();
    const bool negative = resolved.limbs_[kLimbs - 1] < 0;
    if (negative) {
      for (std::int64_t& limb : resolved.limbs_) limb = -limb;
      resolved.carry();
    }
    long double sum = 0;
    for (std::size_t i = kLimbs; i-- > 0;)
      sum += std::ldexp(static_cast<long double>(resolved.limbs_[i]),
                        static_cast<int>(i) * 32 - kBias);
    return negative ? -sum : sum;
  }

  /// Equal sums have equal limbs.
  std::vector<std::int64_t> limbs() const {
    ExactSum resolved = *this;
    resolved.carry();
    return {resolved.limbs_.begin(), resolved.limbs_.end()};
  }
  /// False if these are not limbs().
  bool set_limbs(const std::vector<std::int64_t>& limbs) {
    if (limbs.size() != kLimbs) return false;
    for (std::size_t i = 0; i < kLimbs; ++i) {
      if (i + 1 < kLimbs && (limbs[i] < 0 || limbs[i] > 0xffffffff)) return false;
      limbs_[i] = limbs[i];
    }
    adds_ = 0;
    return limbs[kLimbs - 1] > -kTop && limbs[kLimbs - 1] < kTop;
  }

 private:
  static constexpr int kBias = 1074;         // the lowest bit of the lowest limb is 2^-kBias
  static constexpr std::size_t kLimbs = 70;  // 2240 bits: up to 2^1113
  static constexpr std::int32_t kMaxAdds = 1 << 29;  // 2^29 parts below 2^32 fit 2^62
  static constexpr std::int64_t kTop = std::int64_t{1} << 40;

  /// All limbs but the highest in [0, 2^32).
  void carry() {
    for (std::size_t i = 0; i + 1 < kLimbs; ++i) {
      const std::int64_t over = limbs_[i] >> 32;
      limbs_[i] -= over << 32;
      limbs_[i + 1] += over;
    }
    adds_ = 0;
  }

  std::array<std::int64_t, kLimbs> limbs_{};
  std::int32_t adds_ = 0;
};

}  // namespace gradmill
