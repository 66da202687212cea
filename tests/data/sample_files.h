// Samples for tests: written as text, and whole streams read into simple rows.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "data/sample_stream.h"

namespace gradmill::testing {

struct Sample {
  float label = 0;
  std::map<std::int32_t, float> entries;
  float weight = 1;
  bool operator==(const Sample&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Sample& s) {
  out << "{" << s.label;
  for (const auto& [index, value] : s.entries) out << " " << index << ":" << value;
  return out << " weight " << s.weight << "}";
}

/// Appends; fails the test where the chunk breaks its contract.
inline void add_samples(const SampleChunk& chunk, std::vector<Sample>& to) {
  const auto rows = static_cast<std::size_t>(chunk.rows());
  ASSERT_EQ(chunk.labels.size(), rows);
  ASSERT_EQ(chunk.values.size(), chunk.indices.size());
  ASSERT_EQ(chunk.offsets[0], 0);
  ASSERT_EQ(chunk.offsets[rows], chunk.nnz());
  for (std::size_t r = 0; r < rows; ++r) {
    Sample sample{chunk.labels[r], {}, chunk.weights.empty() ? 1 : chunk.weights.at(r)};
    for (auto e = static_cast<std::size_t>(chunk.offsets[r]);
         e < static_cast<std::size_t>(chunk.offsets[r + 1]); ++e) {
      ASSERT_TRUE(sample.entries.empty() || sample.entries.rbegin()->first < chunk.indices[e]);
      sample.entries[chunk.indices[e]] = chunk.values[e];
    }
    to.push_back(std::move(sample));
  }
}

inline std::vector<Sample> all_samples(SampleStream& stream) {
  std::vector<Sample> rows;
  SampleChunk chunk;
  while (stream.next(chunk)) {
    EXPECT_GT(chunk.rows(), 0);
    add_samples(chunk, rows);
  }
  EXPECT_FALSE(stream.next(chunk));
  return rows;
}

/// Rows of 0 to 40 entries; values of many sizes, that print and read back to the same bits.
inline std::vector<Sample> random_samples(std::size_t rows, unsigned seed, bool weights,
                                          std::int32_t num_features = 100000) {
  std::mt19937 random(seed);
  const auto real = [&] {
    const float sign = random() % 2 ? 1.f : -1.f;
    switch (random() % 4) {
      case 0:
        return sign;
      case 1:
        return sign * static_cast<float>(random() % 10000) / 8192;
      case 2:
        return sign *
               std::ldexp(static_cast<float>(random()), static_cast<int>(random() % 60) - 60);
      default:
        return static_cast<float>(random() % 1000000) / 1e6f;
    }
  };
  std::vector<Sample> samples(rows);
  for (Sample& sample : samples) {
    sample.label = random() % 4 ? static_cast<float>(random() % 3) - 1 : real();
    for (unsigned e = random() % 41; e > 0 && random() % 16; --e)
      sample.entries[static_cast<std::int32_t>(random() % static_cast<unsigned>(num_features))] =
          real();
    if (weights) sample.weight = std::abs(real());
  }
  return samples;
}

inline std::string libsvm_text(const std::vector<Sample>& samples, int index_base = 1) {
  std::string text;
  for (const Sample& sample : samples) {
    text += fmt::format("{}", sample.label);
    for (const auto& [index, value] : sample.entries)
      text += fmt::format(" {}:{}", std::int64_t{index} + index_base, value);
    text += "\n";
  }
  return text;
}

}  // namespace gradmill::testing
