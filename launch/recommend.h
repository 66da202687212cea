// The best items for users of a model, with what they have seen left out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/mf_model.h"

namespace gradmill {

/// Who gets recommendations: rows of a factor table, with names for the output.
struct Audience {
  std::vector<std::string> names;                   // ids as text
  MatrixView<const float> factors;                  // on the context's device
  VectorView<const float> biases;                   // or empty
  std::vector<std::int32_t> rows;                   // of factors, one a name
  std::vector<std::vector<std::int32_t>> excluded;  // item rows, one list a name, or empty
};

struct Recommendation {
  std::string user;
  std::vector<std::int32_t>
      items;                  // vocabulary rows, best first; fewer than asked for if items run out
  std::vector<float> scores;  // predicted rating (explicit) or preference (implicit)
};

/// Calls `give` once a user, in the order of the audience.
void recommend(const Context& ctx, const Context& host, const MfModel& model,
               const Audience& audience, int count,
               const std::function<void(const Recommendation&)>& give);

}  // namespace gradmill
