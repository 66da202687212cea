#include "models/linear/row_order.h"

#include <algorithm>

#include "runtime/random.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kMostRun = 8, kRunsOfBatch = 32;
constexpr std::uint64_t kRowEpoch = 0x80000000u;  // of the permutation of rows: no epoch has it
}  // namespace

std::vector<std::int32_t> row_order(const Context& host, std::int64_t rows,
                                    std::int64_t global_batch, std::uint64_t seed, int rank) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
  if (rows == 0) return order;
  const std::int64_t run = std::clamp<std::int64_t>(global_batch / kRunsOfBatch, 1, kMostRun);
  const std::int64_t runs = (rows + run - 1) / run, missing = runs * run - rows;
  const Permutation permutation(static_cast<std::uint64_t>(runs), seed,
                                kRowEpoch + static_cast<std::uint64_t>(rank));
  std::vector<std::int64_t> place(static_cast<std::size_t>(runs));
  host.threads().parallel_for(runs, 1024, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t r = first; r < last; ++r)
      place[static_cast<std::size_t>(r)] =
          static_cast<std::int64_t>(permutation(static_cast<std::uint64_t>(r)));
  });
  // The last run may be short: what comes after it moves up.
  const std::int64_t shortened = std::find(place.begin(), place.end(), runs - 1) - place.begin();
  host.threads().parallel_for(runs, 1024, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t from = place[static_cast<std::size_t>(r)] * run;
      const std::int64_t to = r * run - (r > shortened ? missing : 0);
      for (std::int64_t i = 0; i < std::min(run, rows - from); ++i)
        order[static_cast<std::size_t>(to + i)] = static_cast<std::int32_t>(from + i);
    }
  });
  return order;
}

}  // namespace gradmill
