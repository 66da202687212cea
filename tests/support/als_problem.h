// Random least squares problems for the tests of the ALS kernels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/als_solve/als_solve.h"
#include "tests/support/als_reference.h"
#include "tests/support/random_ratings.h"

namespace gradmill::testing {

/// A half-step's arguments with the memory behind them.
struct AlsProblem {
  RandomRatings ratings;
  std::int64_t num_factors = 0, stride = 0;
  std::vector<float> factors, weights, biases, base;
  AlsWeights model;

  VectorView<const float> weights_view() const { return view(weights); }
  VectorView<const float> biases_view() const { return view(biases); }
  MatrixView<const float> factors_view() const {
    return {factors.data(), ratings.cols, num_factors, stride, {}};
  }
  MatrixView<const float> base_view() const {
    if (base.empty()) return {};
    return {base.data(), num_factors, num_factors, num_factors, {}};
  }
  std::int64_t system_size() const { return num_factors + (biases.empty() ? 0 : 1); }

 private:
  static VectorView<const float> view(const std::vector<float>& v) {
    return {v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
};

enum class Variant {
  explicit_plain,
  explicit_weighted,
  explicit_biased,
  implicit,
  implicit_weighted
};
inline constexpr Variant kAllVariants[] = {Variant::explicit_plain, Variant::explicit_weighted,
                                           Variant::explicit_biased, Variant::implicit,
                                           Variant::implicit_weighted};
inline constexpr std::int64_t kFactorCounts[] = {1,  7,  8,   15,  16,  17,  31, 32,
                                                 33, 64, 100, 128, 255, 256, 257};
/// Row lengths from none to more than the columns of most problems.
inline const std::vector<std::int64_t> kSkewedLengths = {0, 1, 2, 31, 64, 65, 200, 3, 33, 7};

inline AlsProblem als_problem(Variant variant, std::int64_t rows, std::int64_t cols,
                              std::int64_t num_factors, unsigned seed,
                              const std::vector<std::int64_t>& lengths = kSkewedLengths) {
  AlsProblem p;
  p.ratings = random_ratings(rows, cols, lengths, seed);
  p.num_factors = num_factors;
  p.stride = num_factors + num_factors % 3;  // no kernel may count on a stride, or read padding
  p.factors = random_values(std::max<std::int64_t>(1, cols * p.stride), seed + 1, 0.3f);
  for (std::int64_t r = 0; r < cols; ++r)
    for (std::int64_t c = num_factors; c < p.stride; ++c)
      p.factors[static_cast<std::size_t>(r * p.stride + c)] = std::nanf("");
  p.model.implicit = variant == Variant::implicit || variant == Variant::implicit_weighted;
  p.model.regularization = 0.1f;
  if (p.model.implicit) {
    p.model.alpha = 2.0f;
    p.model.unobserved_weight = 0.25f;
    p.model.ridge_offset = 0.25f * static_cast<float>(cols);
    for (const double g : reference_gram(p.factors_view(), p.model.unobserved_weight))
      p.base.push_back(static_cast<float>(g));
  } else {
    p.model.offset = 2.75f;
  }
  if (variant == Variant::explicit_weighted || variant == Variant::implicit_weighted) {
    p.weights = random_values(static_cast<std::int64_t>(p.ratings.indices.size()), seed + 2);
    for (float& w : p.weights) w = std::abs(w);
    if (p.weights.empty()) p.weights.push_back(1);
  }
  if (variant == Variant::explicit_biased) p.biases = random_values(cols, seed + 3, 0.5f);
  return p;
}

inline const char* name(Variant variant) {
  switch (variant) {
    case Variant::explicit_plain:
      return "explicit";
    case Variant::explicit_weighted:
      return "explicit, weighted";
    case Variant::explicit_biased:
      return "explicit, biased";
    case Variant::implicit:
      return "implicit";
    case Variant::implicit_weighted:
      return "implicit, weighted";
  }
  return "";
}

}  // namespace gradmill::testing
