#include "dist/gather_strings.h"

#include <new>
#include <numeric>

#include "runtime/expect.h"

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

std::vector<std::string> on_every_rank(const Context& ctx, Communicator& comm,
                                       const std::function<std::string()>& work) {
  // First byte: 0, or 1 + the kind of the error whose text follows.
  std::string mine(1, '\0');
  const auto failed = [&](ErrorKind kind, const char* text) {
    mine = static_cast<char>(1 + static_cast<int>(kind)) + std::string(text);
  };
  try {
    mine += work();
  } catch (const Error& e) {
    failed(e.kind(), e.what());
  } catch (const std::bad_alloc&) {
    failed(ErrorKind::out_of_memory, "out of memory");
  } catch (const std::exception& e) {
    failed(ErrorKind::internal, e.what());
  }
  std::vector<std::string> all = all_gather_strings(ctx, comm, mine);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const int status = all[rank].front();
    all[rank].erase(0, 1);
    if (status == 0) continue;
    const auto kind = static_cast<ErrorKind>(status - 1);
    if (all.size() == 1) fail(kind, all[rank]);
    fail(kind, "rank {}: {}", rank, all[rank]);
  }
  return all;
}

}  // namespace gradmill
