#include "data/sample_rows.h"

#include "runtime/expect.h"

namespace gradmill {

std::optional<RowFault> check_row(std::int32_t* indices, float* values, std::size_t count,
                                  std::int64_t num_features) {
  constexpr float kMost = std::numeric_limits<float>::max();
  bool in_order = true, finite = true;
  for (std::size_t e = 0; e < count; ++e) {
    in_order &= e == 0 || indices[e - 1] < indices[e];
    finite &= values[e] >= -kMost && values[e] <= kMost;
  }
  if (!finite)
    for (std::size_t e = 0; e < count; ++e)
      if (!std::isfinite(values[e]))
        return RowFault{BadRecord::non_finite,
                        fmt::format("the value of feature {} is {}", indices[e], values[e])};
  if (!in_order) {
    std::vector<std::pair<std::int32_t, float>> row(count);
    for (std::size_t e = 0; e < count; ++e) row[e] = {indices[e], values[e]};
    std::sort(row.begin(), row.end(), [](auto& a, auto& b) { return a.first < b.first; });
    for (std::size_t e = 0; e < count; ++e) {
      indices[e] = row[e].first;
      values[e] = row[e].second;
    }
  }
  if (count > 0 && indices[0] < 0)
    return RowFault{
        BadRecord::out_of_range,
        fmt::format("a feature index is negative, no whole number, or above {}", kMaxFeatures - 1)};
  if (count > 0 && indices[count - 1] >= num_features)
    return RowFault{BadRecord::out_of_range,
                    fmt::format("feature index is {}, but there are {} features (from 0)",
                                indices[count - 1], num_features)};
  if (!in_order)
    for (std::size_t e = 1; e < count; ++e)
      if (indices[e] == indices[e - 1])
        return RowFault{BadRecord::malformed,
                        fmt::format("feature index {} stands twice in the row", indices[e])};
  return std::nullopt;
}

}  // namespace gradmill
