// Bags of ids for embeddings, and slow, double-precision versions of the operations on them.
#pragma once

#include <cmath>
#include <map>
#include <vector>

#include "kernels/embedding/embedding.h"
#include "runtime/random.h"

namespace gradmill::testing {

struct EmbeddingCase {
  std::int64_t samples, fields, rows, k;
  bool bags = false;  // several entries a bag, empty ones too, offsets that do not start at 0
  bool weights = false, mean = false;
  bool hot = false;  // most entries are the same id
};

class EmbeddingProblem {
 public:
  explicit EmbeddingProblem(const EmbeddingCase& c) : c_(c) {
    const std::int64_t bags = c.samples * c.fields;
    std::int64_t entries = c.bags ? 5 : 0;
    for (std::int64_t b = 0; b < bags; ++b) {
      if (c.bags) offsets_.push_back(entries);
      entries += c.bags ? bits(b, 1) % 4 : 1;
    }
    if (c.bags) offsets_.push_back(entries);
    entries -= c.bags ? 5 : 0;
    for (std::int64_t e = 0; e < entries; ++e) {
      const auto draw = bits(e, 2);
      const bool known = draw % 11 != 0;
      const auto id =
          c.hot && draw % 3 != 0 ? c.rows / 2 : static_cast<std::int64_t>(bits(e, 3) % c.rows);
      ids_.push_back(known ? static_cast<std::int32_t>(id) : -1);
      if (c.weights) weights_.push_back(0.25f * static_cast<float>(1 + draw % 7));
    }
    table_ = numbers(c.rows * c.k, 4);
    gradient_ = numbers(c.samples * c.fields * c.k, 5);
  }

  EmbeddingBags bags() const {
    return {c_.samples,
            c_.fields,
            {offsets_.data(), static_cast<std::int64_t>(offsets_.size()), {}},
            {ids_.data(), static_cast<std::int64_t>(ids_.size()), {}},
            {weights_.data(), static_cast<std::int64_t>(weights_.size()), {}},
            c_.mean};
  }
  std::vector<float>& table() { return table_; }
  const std::vector<float>& gradient() const { return gradient_; }
  std::int64_t entries() const { return static_cast<std::int64_t>(ids_.size()); }
  MatrixView<float> view(std::vector<float>& values, std::int64_t rows, std::int64_t cols) const {
    return {values.data(), rows, cols, cols, {}};
  }

  /// body(bag, entry, id, factor) for every known entry.
  template <class Body>
  void for_each(Body&& body) const {
    for (std::int64_t b = 0; b < c_.samples * c_.fields; ++b) {
      const auto at = static_cast<std::size_t>(b);
      const std::int64_t first = c_.bags ? offsets_[at] - 5 : b;
      const std::int64_t last = c_.bags ? offsets_[at + 1] - 5 : b + 1;
      for (std::int64_t e = first; e < last; ++e) {
        const double weight = c_.weights ? weights_[static_cast<std::size_t>(e)] : 1.0;
        const std::int32_t id = ids_[static_cast<std::size_t>(e)];
        if (id >= 0) body(b, e, id, c_.mean ? weight / static_cast<double>(last - first) : weight);
      }
    }
  }

  std::vector<double> gathered() const {
    std::vector<double> out(static_cast<std::size_t>(c_.samples * c_.fields * c_.k));
    for_each([&](std::int64_t bag, std::int64_t, std::int32_t id, double factor) {
      for (std::int64_t i = 0; i < c_.k; ++i)
        out[static_cast<std::size_t>(bag * c_.k + i)] +=
            factor * table_[static_cast<std::size_t>(id * c_.k + i)];
    });
    return out;
  }
  /// Sums of gradients by id.
  std::map<std::int32_t, std::vector<double>> gradients() const {
    std::map<std::int32_t, std::vector<double>> sums;
    for_each([&](std::int64_t bag, std::int64_t, std::int32_t id, double factor) {
      auto& sum = sums.try_emplace(id, static_cast<std::size_t>(c_.k)).first->second;
      for (std::int64_t i = 0; i < c_.k; ++i)
        sum[static_cast<std::size_t>(i)] +=
            factor * gradient_[static_cast<std::size_t>(bag * c_.k + i)];
    });
    return sums;
  }

 private:
  static std::uint32_t bits(std::int64_t index, std::uint32_t use) {
    return random_bits(77, RandomStream::negative, static_cast<std::uint64_t>(index), use).x[0];
  }
  static std::vector<float> numbers(std::int64_t count, std::uint32_t use) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(to_unit(bits(i, use)) - 0.5f);
    return values;
  }
  EmbeddingCase c_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::int32_t> ids_;
  std::vector<float> weights_, table_, gradient_;
};

}  // namespace gradmill::testing
