// Records with numbers, words and lists of words that a small network can learn, the same for the same arguments.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "runtime/random.h"

namespace gradmill::testing {

/// CSV with columns size, age, city, tags, weight, label. tags: none to three words. `classes` 2: labels no and yes;
/// 3: low, mid, high; 0: values of a regression.
inline std::string record_text(std::int64_t rows, int classes, std::uint64_t seed) {
  static constexpr const char* kCities[] = {"rome", "oslo", "lima", "bonn", "cork"};
  static constexpr const char* kTags[] = {"red", "blue", "old", "new", "big", "odd", "hot"};
  std::string text = "size,age,city,tags,weight,label\n";
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint32_t drawn = 0;
    const auto draw = [&] {
      return random_bits(seed, RandomStream::shuffle, static_cast<std::uint64_t>(row), drawn++)
          .x[0];
    };
    const double size = draw() * 0x1p-32 * 10, age = draw() * 0x1p-32 * 80;
    const unsigned city = draw() % 5, count = draw() % 4;
    double score = std::sin(size) + (city % 2 ? 1.5 : -1.0) * (age > 40 ? 1 : -0.5);
    std::string tags;
    for (unsigned t = 0; t < count; ++t) {
      const unsigned tag = draw() % 7;
      tags += (tags.empty() ? "" : " ") + std::string(kTags[tag]);
      score += 0.4 * std::cos(tag * 2.0);
    }
    score += 0.4 * (draw() * 0x1p-32 - 0.5);
    std::string label = std::to_string(score);
    if (classes == 2) label = score > 0 ? "yes" : "no";
    if (classes == 3) label = score < -0.7 ? "low" : score < 0.7 ? "mid" : "high";
    text += std::to_string(size) + "," + std::to_string(age) + "," + kCities[city] + "," + tags +
            "," + std::to_string(1 + draw() % 3) + "," + label + "\n";
  }
  return text;
}

/// Of a run on such records: tags are bags of hashed words.
inline std::string record_config(const std::string& data, const std::string& more = {}) {
  return "[data]\ntrain = \"" + data +
         "\"\nweight = \"weight\"\n"
         "[[features]]\ncolumn = \"*\"\n"
         "[[features]]\ncolumn = \"tags\"\nkind = \"text\"\nhash_size = 64\n"
         "[model]\nkind = \"mlp\"\nhidden = [16, 8]\nembedding_dim = 4\n"
         "[train]\nglobal_batch = 32\nepochs = 4\n" +
         more;
}

}  // namespace gradmill::testing
