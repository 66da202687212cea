// A small factorization problem for tests: low-rank ratings with noise, skewed rows.
#pragma once

#include <cmath>
#include <cstdint>

#include "models/mf/solver.h"
#include "runtime/random.h"

namespace gradmill::testing {

struct MfProblem {
  MfSize size;
  Ratings ratings;
};

/// About density * users * items ratings; the row of user u has a share that falls with u.
inline MfProblem mf_problem(std::int64_t users, std::int64_t items, double density,
                            std::uint64_t seed) {
  MfProblem problem{{users, items}, {}};
  for (std::int64_t u = 0; u < users; ++u) {
    for (std::int64_t i = 0; i < items; ++i) {
      const Philox4 r =
          random_bits(seed, RandomStream::negative, static_cast<std::uint64_t>(u * items + i));
      const double share =
          density * 2 / (1 + 3.0 * static_cast<double>(u) / static_cast<double>(users));
      if (to_unit(r.x[0]) >= share) continue;
      const double truth = 3 + std::sin(0.7 * static_cast<double>(u)) +
                           std::cos(1.3 * static_cast<double>(i)) +
                           std::sin(0.3 * static_cast<double>(u * (i % 5)));
      problem.ratings.users.push_back(static_cast<std::int32_t>(u));
      problem.ratings.items.push_back(static_cast<std::int32_t>(i));
      problem.ratings.values.push_back(static_cast<float>(truth + 0.2 * to_unit(r.x[1])));
    }
  }
  return problem;
}

/// The ratings e with e % ranks == rank.
inline Ratings share_of(const Ratings& all, int rank, int ranks) {
  Ratings mine;
  for (std::size_t e = static_cast<std::size_t>(rank); e < all.users.size();
       e += static_cast<std::size_t>(ranks)) {
    mine.users.push_back(all.users[e]);
    mine.items.push_back(all.items[e]);
    mine.values.push_back(all.values[e]);
    if (!all.weights.empty()) mine.weights.push_back(all.weights[e]);
  }
  return mine;
}

}  // namespace gradmill::testing
