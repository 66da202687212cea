// LIBSVM text of samples that a linear model can learn, the same for the same arguments.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "runtime/random.h"

namespace gradmill::testing {

/// `classes` 2: labels -1 and 1; above: 1 .. classes; 0: values of a regression. About 6 of `features`
/// features a row, numbered from 1.
inline std::string libsvm_text(std::int64_t rows, int features, int classes, std::uint64_t seed) {
  std::string text;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::string entries;
    double score = 0;
    for (int f = 0; f < features; ++f) {
      const auto bits = random_bits(seed, RandomStream::shuffle, static_cast<std::uint64_t>(row),
                                    static_cast<std::uint32_t>(f));
      if (bits.x[0] % static_cast<std::uint32_t>(features) >= 6) continue;
      const double value = 0.25 * (1 + bits.x[1] % 8);
      entries += " " + std::to_string(f + 1) + ":" + std::to_string(value);
      score += value * std::sin(f + 1.0);
    }
    const auto noise =
        random_bits(seed + 1, RandomStream::shuffle, static_cast<std::uint64_t>(row)).x[0];
    score += 2.0 * (noise * 0x1p-32 - 0.5);
    std::string label = std::to_string(score);
    if (classes == 2) label = score > 0 ? "1" : "-1";
    if (classes > 2) {
      const int bin = static_cast<int>(std::floor((score + 2) / 4 * classes));
      label = std::to_string(bin < 0 ? 1 : bin >= classes ? classes : bin + 1);
    }
    text += label + entries + "\n";
  }
  return text;
}

}  // namespace gradmill::testing
