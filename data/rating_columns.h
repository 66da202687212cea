// Which column of a file is the user, the item, the value, …, by the names that people give them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill {

enum class RatingRole : std::uint8_t { user, item, value, weight, timestamp };
inline constexpr int kRatingRoles = 5;

std::string_view role_name(RatingRole role);
const std::string& column_of(const RatingColumns& columns, RatingRole role);

/// Position in `names` of each role, -1 where there is none: as asked for in options.columns, else
/// by usual names ("userId", "movie_id", "stars", …; case, '_', '-' and blanks do not count).
/// A weight or timestamp may be absent; a value if has_values is false or if no column is left over.
/// Errors: ErrorKind::data "<where>: …" with the names that there are.
std::array<int, kRatingRoles> find_rating_columns(const std::string& where,
                                                  const std::vector<std::string>& names,
                                                  const RatingReadOptions& options);

/// Is one of these a usual name of this column?
bool has_usual_name(const std::vector<std::string>& names, RatingRole role);

}  // namespace gradmill
