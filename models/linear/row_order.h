// The order in which mini-batches take a rank's samples.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/context.h"

namespace gradmill {

/// A permutation of [0, rows) that follows from seed and rank: runs of up to 8 rows that are neighbours in memory,
/// because reading single rows at random takes three times as long, and batches of 256 still see 32 places
/// of the data. Smaller batches have shorter runs, those of 63 and fewer samples single rows.
std::vector<std::int32_t> row_order(const Context& host, std::int64_t rows,
                                    std::int64_t global_batch, std::uint64_t seed, int rank);

}  // namespace gradmill
