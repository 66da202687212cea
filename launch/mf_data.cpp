#include "launch/mf_data.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "data/files.h"
#include "data/split.h"
#include "dist/gather_strings.h"
#include "dist/shard.h"
#include "launch/reading.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
Vocabulary merge_over_ranks(const Context& host, Communicator& comm, const Vocabulary& mine) {
  if (comm.world_size() == 1) return mine;
  std::vector<Vocabulary> parts;
  for (const std::string& bytes : all_gather_strings(host, comm, mine.serialize()))
    parts.push_back(Vocabulary::deserialize(bytes));
  return Vocabulary::merge(parts);
}

RatingTable read(const Context& host, Communicator& comm, const Config& config,
                 const std::string& source, MfData& data, Log& log) {
  const int threads = host.threads().size();
  const auto stream =
      open_ratings(source, read_options(config, threads, comm.rank(), comm.world_size()));
  const bool by_time = config.data.valid.empty() && config.data.split == "last";
  RatingTable table = read_rating_table(*stream, threads, by_time);
  const ReadReport& report = stream->report();
  log_report(log, source, report);
  data.skipped += report.skipped;
  return table;
}

Ratings take(RatingTable table) {
  return {std::move(table.user),
          std::move(table.item),
          std::move(table.value),
          std::move(table.weight),
          {}};
}

/// Sends every user's rows to one rank, so that a user's last rating can be told there.
RatingTable with_whole_users(const Context& host, Communicator& comm, RatingTable table,
                             const MfData& data) {
  if (comm.world_size() == 1) return table;
  RowBoundaries boundaries{0};
  for (int rank = 0; rank < comm.world_size(); ++rank)
    boundaries.push_back(shard_rows(data.users.size(), rank, comm.world_size()).end);
  const auto keys = table.user;
  std::vector<std::int64_t> timestamps = std::move(table.timestamp);
  Ratings rows = take(std::move(table));
  rows.timestamps = std::move(timestamps);
  rows = exchange_ratings(host, comm, std::move(rows), keys, boundaries);
  return {data.users,
          data.items,
          std::move(rows.users),
          std::move(rows.items),
          std::move(rows.values),
          std::move(rows.weights),
          std::move(rows.timestamps)};
}

/// Values are given by the reader or, for interactions, 1 each.
void complete_values(RatingTable& table) {
  if (table.value.empty()) table.value.assign(table.user.size(), 1.0f);
}

/// Whether any rank has weights; ranks without rows then get an empty array that counts as weighted.
void agree_on_weights(const Context& host, Communicator& comm, Ratings& ratings) {
  std::int64_t weighted = !ratings.weights.empty();
  comm.all_reduce_sum(host, VectorView<std::int64_t>{&weighted, 1, {}});
  if (weighted && ratings.weights.empty()) ratings.weights.assign(ratings.users.size(), 1.0f);
}

void find_range(const Context& host, Communicator& comm, MfData& data) {
  std::array<float, 2> mine{std::numeric_limits<float>::max(),
                            std::numeric_limits<float>::lowest()};
  for (const float value : data.train.values) {
    mine[0] = std::min(mine[0], value);
    mine[1] = std::max(mine[1], value);
  }
  std::vector<float> all(2 * static_cast<std::size_t>(comm.world_size()));
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.world_size()), 2);
  comm.all_gather(host, VectorView<const float>{mine.data(), 2, {}}, counts,
                  VectorView<float>{all.data(), static_cast<std::int64_t>(all.size()), {}});
  data.low = std::numeric_limits<float>::max();
  data.high = std::numeric_limits<float>::lowest();
  for (std::size_t i = 0; i < all.size(); i += 2) {
    data.low = std::min(data.low, all[i]);
    data.high = std::max(data.high, all[i + 1]);
  }
}

/// Sums of a hash of every rating: the same whatever the order and the ranks.
std::string digest_of(const Context& host, Communicator& comm, const MfData& data) {
  std::int64_t sum = 0;
  for (std::int64_t e = 0; e < data.train.size(); ++e) {
    const auto at = static_cast<std::size_t>(e);
    const Philox4 bits =
        random_bits(static_cast<std::uint64_t>(data.train.users[at]), RandomStream::split,
                    static_cast<std::uint64_t>(data.train.items[at]),
                    std::bit_cast<std::uint32_t>(data.train.values[at]));
    sum += static_cast<std::int64_t>(bits.x[0]) << 16 ^ bits.x[1];
  }
  comm.all_reduce_sum(host, VectorView<std::int64_t>{&sum, 1, {}});
  return xxh128_hex(data.users.serialize() + data.items.serialize() +
                    fmt::format("{} {}", data.train_rows, sum));
}
}  // namespace

MfData load_mf_data(const Context& host, Communicator& comm, const Config& config, Log& log) {
  MfData data;
  const int threads = host.threads().size();
  RatingTable table = read(host, comm, config, config.data.train, data, log);
  complete_values(table);
  data.users = merge_over_ranks(host, comm, table.users);
  data.items = merge_over_ranks(host, comm, table.items);
  if (comm.world_size() > 1) table = recode(std::move(table), data.users, data.items, threads);

  if (!config.data.valid.empty()) {
    RatingTable valid = read(host, comm, config, config.data.valid, data, log);
    complete_values(valid);
    data.valid = take(recode(std::move(valid), data.users, data.items, threads));
    data.train = take(std::move(table));
  } else if (config.data.holdout > 0) {
    const bool last = config.data.split == "last";
    if (last) table = with_whole_users(host, comm, std::move(table), data);
    const Split split = last ? split_last_out(table)
                             : split_by_fraction(table, config.data.holdout, config.run.seed);
    data.valid = take(select_rows(table, split.test));
    keep_rows(table, split.train);
    data.train = take(std::move(table));
  } else {
    data.train = take(std::move(table));
  }
  agree_on_weights(host, comm, data.train);
  agree_on_weights(host, comm, data.valid);

  std::array<std::int64_t, 3> totals{data.train.size(), data.valid.size(), data.skipped};
  comm.all_reduce_sum(host, VectorView<std::int64_t>{totals.data(), 3, {}});
  data.train_rows = totals[0];
  data.valid_rows = totals[1];
  data.skipped = totals[2];
  expect(data.train_rows > 0, ErrorKind::data, "{}: no ratings to train on{}", config.data.train,
         data.skipped ? fmt::format(" ({} records were left out)", data.skipped) : "");
  find_range(host, comm, data);
  data.digest = digest_of(host, comm, data);
  return data;
}

}  // namespace gradmill
