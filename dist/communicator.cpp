#include "dist/communicator.h"

#include <numeric>

#include "runtime/expect.h"

namespace gradmill {

std::string_view collective_name(Collective collective) {
  constexpr std::string_view kNames[] = {
      "none",      "all_reduce_sum", "all_gather", "reduce_scatter_sum",
      "broadcast", "all_to_all",     "barrier"};
  return kNames[static_cast<std::size_t>(collective)];
}

void Communicator::check_parts(std::string_view collective, Counts counts, std::int64_t mine,
                               std::int64_t all, bool same_device) const {
  require(counts.size() == static_cast<std::size_t>(world_size()), "{}: {} counts for {} ranks",
          collective, counts.size(), world_size());
  require(same_device, "{}: the two buffers are on different devices", collective);
  for (const std::int64_t count : counts)
    require(count >= 0, "{}: a count is {}", collective, count);
  const std::int64_t sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  require(sum == all, "{}: the counts add up to {}, but the buffer holds {}", collective, sum, all);
  const std::int64_t own = counts[static_cast<std::size_t>(rank())];
  require(mine < 0 || own == mine, "{}: rank {}'s count is {}, but its buffer holds {}", collective,
          rank(), own, mine);
}

}  // namespace gradmill
