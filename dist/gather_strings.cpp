#include "dist/gather_strings.h"

#include <numeric>

namespace gradmill {

std::vector<std::string> all_gather_strings(const Context& ctx, Communicator& comm,
                                            std::string_view mine) {
  const auto ranks = static_cast<std::size_t>(comm.world_size());
  const auto my_size = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> sizes(ranks);
  const std::vector<std::int64_t> one_each(ranks, 1);
  comm.all_gather(ctx, VectorView<const std::int64_t>{&my_size, 1}, one_each,
                  VectorView<std::int64_t>{sizes.data(), comm.world_size()});

  std::string all(
      static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0})), '\0');
  comm.all_gather(ctx, VectorView<const char>{mine.data(), my_size}, sizes,
                  VectorView<char>{all.data(), static_cast<std::int64_t>(all.size())});

  std::vector<std::string> strings;
  std::size_t at = 0;
  for (const std::int64_t size : sizes) {
    strings.push_back(all.substr(at, static_cast<std::size_t>(size)));
    at += static_cast<std::size_t>(size);
  }
  return strings;
}

}  // namespace gradmill
