// What every reader of samples checks in a row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/sample_stream.h"

namespace gradmill {

struct RowFault {
  BadRecord why;
  std::string what;
};

/// Puts entries into order. Indices from 0; a negative one stands for what an int32 cannot hold.
/// Returns what is wrong with the row, if anything.
std::optional<RowFault> check_row(std::int32_t* indices, float* values, std::size_t count,
                                  std::int64_t num_features);

/// An index as check_row takes it.
template <class Number>
std::int32_t to_index(Number number) {
  if constexpr (std::is_floating_point_v<Number>)
    return number >= 0 && number < kMaxFeatures && number == std::floor(number)
               ? static_cast<std::int32_t>(number)
               : -1;
  else
    return number >= Number{0} && number < static_cast<Number>(kMaxFeatures)
               ? static_cast<std::int32_t>(number)
               : -1;
}

}  // namespace gradmill
