// Which rows of a table are for training and which for testing. Both ways depend on ids only, not on the
// order of the rows, the files they came in, or the number of ranks.
#pragma once

#include <cstdint>
#include <vector>

#include "data/vocabulary.h"

namespace gradmill {

/// Row indices of a table, ascending; each row is in one of them.
struct Split {
  std::vector<std::int64_t> train, test;
};

/// About `test_fraction` of the rows are for testing: those whose (user id, item id, seed) hash below it.
/// So rows of the same user and item stay together, and rows added later move no other row.
/// Errors: ErrorKind::usage if the fraction is not in [0, 1].
Split split_by_fraction(const RatingTable& table, double test_fraction, std::uint64_t seed);

/// The last `count` ratings of each user are for testing, by (timestamp, item id); ratings that agree in
/// both are taken as one. Users with no more than `count` ratings are left in training whole: nothing
/// could be learned for them otherwise. Errors: ErrorKind::data without timestamps; usage if count < 1.
Split split_last_out(const RatingTable& table, int count = 1);

}  // namespace gradmill
