#include "models/mf/sgd_blocks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <queue>
#include <tuple>

#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunk = 1 << 18;  // ratings that one thread takes at a time

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Deals rows, heaviest first, to the bin with the least ratings so far (then the fewest rows).
void deal(std::span<const std::int32_t> heaviest_first, std::span<const std::int64_t> counts,
          std::int32_t bins, std::vector<std::int32_t>& bin_of_row) {
  using Load = std::tuple<std::int64_t, std::int64_t, std::int32_t>;  // ratings, rows, bin
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (std::int32_t bin = 0; bin < bins; ++bin) loads.emplace(0, 0, bin);
  for (const std::int32_t row : heaviest_first) {
    const auto [ratings, rows, bin] = loads.top();
    loads.pop();
    bin_of_row[at(row)] = bin;
    loads.emplace(ratings + counts[at(row)], rows + 1, bin);
  }
}

std::int64_t strips_of(std::int64_t rows) { return (rows + kStripUsers - 1) / kStripUsers; }

SgdSide make_side(std::span<const std::int64_t> counts, std::int32_t blocks) {
  SgdSide side{blocks, std::vector<std::int32_t>(counts.size()), {0}};
  std::vector<std::int32_t> order(counts.size()), block_of(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return counts[at(a)] > counts[at(b)]; });
  deal(order, counts, blocks, block_of);
  std::vector<std::vector<std::int32_t>> members(at(blocks));
  for (const std::int32_t row : order) members[at(block_of[at(row)])].push_back(row);
  std::int32_t next = 0;
  for (const auto& rows : members) {  // heavy rows spread over the strips
    const std::size_t strips = at(strips_of(static_cast<std::int64_t>(rows.size())));
    for (std::size_t strip = 0; strip < strips; ++strip)
      for (std::size_t r = strip; r < rows.size(); r += strips) side.storage[at(rows[r])] = next++;
    side.block_first.push_back(next);
  }
  return side;
}

/// Block of each storage row.
std::vector<std::int32_t> block_of_storage(const SgdSide& side) {
  std::vector<std::int32_t> block(side.storage.size());
  for (std::int32_t b = 0; b < side.blocks; ++b)
    std::fill(block.begin() + side.first(b), block.begin() + side.first(b + 1), b);
  return block;
}

struct Entry {
  std::int32_t user, item;
  float value, weight;
};

struct Keyed {
  std::uint32_t strip, key;
  Entry rating;
  auto order() const {  // ends with the whole content, so that equal elements are identical
    return std::tuple(strip, key, rating.user, rating.item,
                      std::bit_cast<std::uint32_t>(rating.value),
                      std::bit_cast<std::uint32_t>(rating.weight));
  }
};

/// Puts ratings into groups without a common row: see sgd_ratings().
class GroupSchedule {
 public:
  GroupSchedule(std::int64_t users, std::int64_t items)
      : after_user_(at(users)), after_item_(at(items)) {}

  /// Calls put(place, rating) for the ratings of one strip, whose places are by group, and gives the
  /// groups' sizes; row ids count from 0.
  template <class Put>
  void schedule(std::span<const Entry> ratings, std::vector<std::int64_t>& sizes, Put&& put) {
    group_.clear();
    sizes.clear();
    open_.clear();
    for (const Entry& r : ratings) {
      const std::size_t group =
          first_open(at(std::max(after_user_[at(r.user)], after_item_[at(r.item)])), sizes);
      group_.push_back(group);
      after_user_[at(r.user)] = after_item_[at(r.item)] = static_cast<std::int32_t>(group) + 1;
      if (++sizes[group] == kGroupRatings) open_[group] = group + 1;
    }
    std::vector<std::int64_t> next(sizes.size());
    std::exclusive_scan(sizes.begin(), sizes.end(), next.begin(), std::int64_t{0});
    for (std::size_t e = 0; e < ratings.size(); ++e) put(next[group_[e]]++, ratings[e]);
    for (const Entry& r : ratings) after_user_[at(r.user)] = after_item_[at(r.item)] = 0;
  }

 private:
  std::size_t first_open(std::size_t group, std::vector<std::int64_t>& sizes) {
    const auto grow = [&] {
      if (group < sizes.size()) return;
      sizes.push_back(0);  // group <= sizes.size(): a row's last group exists
      open_.push_back(group);
    };
    for (grow(); open_[group] != group; grow()) {
      if (open_[group] < open_.size()) open_[group] = open_[open_[group]];  // halves the path
      group = open_[group];
    }
    return group;
  }

  std::vector<std::int32_t> after_user_, after_item_;  // first group that a row may join
  std::vector<std::size_t> group_, open_;  // open_[g]: g if it has room, else a later group
};

/// Reorders ratings [begin, end) in place so that bucket_of(e) ascends; returns the buckets' bounds.
/// Source: American flag sort (McIlroy, Bostic, McIlroy, "Engineering radix sort", Computing Systems
/// 6, 1993).
template <class BucketOf>
std::vector<std::int64_t> partition(Ratings& ratings, std::int64_t begin, std::int64_t end,
                                    std::int64_t buckets, BucketOf&& bucket_of) {
  std::vector<std::int64_t> bounds(at(buckets) + 1, begin);
  for (std::int64_t e = begin; e < end; ++e) ++bounds[at(bucket_of(e)) + 1];
  for (std::size_t b = 1; b < bounds.size(); ++b) bounds[b] += bounds[b - 1] - begin;
  std::vector<std::int64_t> next = bounds;
  for (std::int64_t b = 0; b < buckets; ++b)
    for (std::int64_t& e = next[at(b)]; e < bounds[at(b) + 1];) {
      const std::int64_t bucket = bucket_of(e);
      const std::size_t from = at(e), to = at(next[at(bucket)]++);
      if (bucket == b) continue;
      std::swap(ratings.users[from], ratings.users[to]);
      std::swap(ratings.items[from], ratings.items[to]);
      std::swap(ratings.values[from], ratings.values[to]);
      if (!ratings.weights.empty()) std::swap(ratings.weights[from], ratings.weights[to]);
    }
  return bounds;
}

/// Orders ratings by the blocks [first, last) of a grid in three passes, each in place: by user block,
/// by item block, within a block.
class Builder {
 public:
  Builder(const Context& ctx, const SgdGrid& grid, std::int32_t first, std::int32_t last,
          Ratings given, std::uint64_t seed)
      : ratings(std::move(given)),
        ctx_(ctx),
        grid_(grid),
        seed_(seed),
        first_(first),
        last_(last) {}

  void run() {
    to_storage_rows();
    const std::vector<std::int32_t> user_block = block_of_storage(grid_.users),
                                    item_block = block_of_storage(grid_.items);
    const std::int64_t mine = last_ - first_, side = grid_.items.blocks;
    const auto by_user = partition(ratings, 0, ratings.size(), mine + 1, [&](std::int64_t e) {
      const std::int64_t block = user_block[at(ratings.users[at(e)])] - first_;
      return block < 0 ? mine : std::min(block, mine);  // mine: another rank's user
    });
    keep_first(by_user[at(mine)]);
    offsets.assign(at(mine * side) + 1, by_user[at(mine)]);
    std::vector<std::vector<std::uint8_t>> groups(at(mine * side));  // sizes
    ctx_.threads().parallel_for(mine, 1, [&](std::int64_t i, std::int64_t, int) {
      const auto bounds = partition(
          ratings, by_user[at(i)], by_user[at(i) + 1], side,
          [&](std::int64_t e) { return std::int64_t{item_block[at(ratings.items[at(e)])]}; });
      std::copy(bounds.begin(), bounds.end() - 1, offsets.begin() + i * side);
      for (std::int64_t j = 0; j < side; ++j)
        groups[at(i * side + j)] = order_block(i, j, bounds[at(j)], bounds[at(j) + 1]);
    });
    block_groups.push_back(0);
    for (const auto& sizes : groups)
      block_groups.push_back(block_groups.back() + static_cast<std::int64_t>(sizes.size()));
    group_sizes.reserve(at(block_groups.back()));
    for (auto& sizes : groups) {
      group_sizes.insert(group_sizes.end(), sizes.begin(), sizes.end());
      sizes = {};
    }
  }

  Ratings ratings;
  std::vector<std::int64_t> offsets, block_groups;
  std::vector<std::uint8_t> group_sizes;

 private:
  void to_storage_rows() {
    const std::int64_t size = ratings.size();
    const auto &users = grid_.users.storage, &items = grid_.items.storage;
    ctx_.threads().parallel_for(size, kChunk, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t e = begin; e < end; ++e) {
        std::int32_t &user = ratings.users[at(e)], &item = ratings.items[at(e)];
        require(static_cast<std::uint32_t>(user) < users.size() &&
                    static_cast<std::uint32_t>(item) < items.size(),
                "sgd_ratings: rating {} is of user {} and item {}; the grid has {} and {}", e, user,
                item, users.size(), items.size());
        user = users[at(user)];
        item = items[at(item)];
      }
    });
  }

  void keep_first(std::int64_t count) {
    ratings.users.resize(at(count));
    ratings.items.resize(at(count));
    ratings.values.resize(at(count));
    if (!ratings.weights.empty()) ratings.weights.resize(at(count));
  }

  /// Orders entries [begin, end), which are block (i, j); returns the sizes of its groups.
  std::vector<std::uint8_t> order_block(std::int64_t i, std::int64_t j, std::int64_t begin,
                                        std::int64_t end) {
    const auto user_block = static_cast<std::int32_t>(first_ + i),
               item_block = static_cast<std::int32_t>(j);
    const auto user_first = static_cast<std::int32_t>(grid_.users.first(user_block)),
               item_first = static_cast<std::int32_t>(grid_.items.first(item_block)),
               user_base = static_cast<std::int32_t>(grid_.users.first(first_));
    const bool weighted = !ratings.weights.empty();
    const std::int64_t users = grid_.users.rows_of(user_block);
    const std::int64_t strip_users = users ? (users + strips_of(users) - 1) / strips_of(users) : 1;
    std::vector<Keyed> keyed(at(end - begin));
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int32_t user = ratings.users[at(e)], item = ratings.items[at(e)];
      const auto pair = static_cast<std::uint64_t>(user) << 32 | static_cast<std::uint32_t>(item);
      keyed[at(e - begin)] = {static_cast<std::uint32_t>((user - user_first) / strip_users),
                              random_bits(seed_, RandomStream::shuffle, pair).x[0],
                              {user - user_first, item - item_first, ratings.values[at(e)],
                               weighted ? ratings.weights[at(e)] : 1.0f}};
    }
    std::sort(keyed.begin(), keyed.end(),
              [](const Keyed& a, const Keyed& b) { return a.order() < b.order(); });
    GroupSchedule groups(users, grid_.items.rows_of(item_block));
    std::vector<Entry> strip;
    static_assert(kGroupRatings <= UINT8_MAX);
    std::vector<std::uint8_t> all_sizes;
    std::vector<std::int64_t> sizes;
    std::int64_t done = begin;
    for (std::size_t e = 0; e < keyed.size();) {
      strip.clear();
      for (const std::uint32_t s = keyed[e].strip; e < keyed.size() && keyed[e].strip == s; ++e)
        strip.push_back(keyed[e].rating);
      groups.schedule(strip, sizes, [&](std::int64_t place, const Entry& r) {
        const std::size_t to = at(done + place);
        ratings.users[to] = r.user + user_first - user_base;
        ratings.items[to] = r.item + item_first;
        ratings.values[to] = r.value;
        if (weighted) ratings.weights[to] = r.weight;
      });
      for (const std::int64_t size : sizes) {
        all_sizes.push_back(static_cast<std::uint8_t>(size));
        done += size;
      }
    }
    return all_sizes;
  }

  const Context& ctx_;
  const SgdGrid& grid_;
  std::uint64_t seed_;
  std::int32_t first_, last_;
};

template <class T>
VectorView<const T> view_of(const std::vector<T>& host, const Buffer<T>& device) {
  if (!device.empty()) return device.view();
  return {host.data(), static_cast<std::int64_t>(host.size()), {}};
}

template <class T>
void move_to_device(const Context& ctx, std::vector<T>& host, Buffer<T>& device) {
  device = Buffer<T>::from_host(ctx, host);
  ctx.synchronize();
  host = std::vector<T>();
}
}  // namespace

std::int32_t sgd_block_count(std::int64_t ratings, std::int64_t users, std::int64_t items) {
  const double wanted = std::cbrt(static_cast<double>(ratings)) / 8;
  std::int32_t blocks = 1;
  while (blocks < 256 && 1.4142 * blocks < wanted && 2 * blocks <= std::min(users, items))
    blocks *= 2;
  return blocks;
}

SgdGrid sgd_grid(std::span<const std::int64_t> user_counts,
                 std::span<const std::int64_t> item_counts) {
  const auto users = static_cast<std::int64_t>(user_counts.size()),
             items = static_cast<std::int64_t>(item_counts.size()),
             ratings = std::accumulate(user_counts.begin(), user_counts.end(), std::int64_t{0});
  const std::int32_t blocks = sgd_block_count(ratings, users, items);
  return {make_side(user_counts, blocks), make_side(item_counts, blocks)};
}

SgdBlocks SgdRatings::blocks() const {
  return {view_of(host_.users, users_),
          view_of(host_.items, items_),
          view_of(host_.values, values_),
          view_of(host_.weights, weights_),
          offsets_.view(),
          user_blocks_,
          item_blocks_,
          block_groups_.view(),
          group_sizes_.view()};
}

CsrRatings SgdRatings::by_user(const Context& ctx, const Context& host, std::int64_t users,
                               std::int64_t items) const {
  if (users_.empty())
    return CsrRatings::build(host, 0, users, items, host_.users, host_.items, {}, {});
  return CsrRatings::build(host, 0, users, items, users_.to_host(), items_.to_host(), {}, {})
      .to(ctx);
}

std::vector<std::int64_t> SgdRatings::user_counts(const Context& ctx, std::int64_t users) const {
  std::vector<std::int64_t> counts(at(users));
  visit_on_host(ctx, blocks().users, kChunk, [&](std::span<const std::int32_t> piece) {
    for (const std::int32_t user : piece) ++counts[at(user)];
  });
  return counts;
}

CsrRatings SgdRatings::by_user_of_block(const Context& ctx, const Context& host, std::int32_t block,
                                        std::int64_t first_user, std::int64_t users,
                                        std::int64_t items) const {
  const std::int64_t first = user_block_first_[at(block)],
                     count = user_block_first_[at(block) + 1] - first;
  const SgdBlocks all = blocks();
  CsrRatings rows;
  const auto build = [&](std::span<const std::int32_t> user, std::span<const std::int32_t> item) {
    rows = CsrRatings::build(host, first_user, users, items, user, item, {}, {});
  };
  visit_on_host(ctx, all.users.slice(first, count), count, [&](std::span<const std::int32_t> user) {
    visit_on_host(ctx, all.items.slice(first, count), count,
                  [&](std::span<const std::int32_t> item) { build(user, item); });
  });
  return rows;
}

SgdRatings sgd_ratings(const Context& ctx, const SgdGrid& grid, std::int32_t first,
                       std::int32_t last, Ratings ratings, std::uint64_t seed) {
  require(0 <= first && first <= last && last <= grid.users.blocks,
          "sgd_ratings: user blocks [{}, {}) of {}", first, last, grid.users.blocks);
  require(ratings.users.size() == ratings.values.size() &&
              ratings.items.size() == ratings.values.size() &&
              (ratings.weights.empty() || ratings.weights.size() == ratings.values.size()),
          "sgd_ratings: {} users, {} items, {} values and {} weights", ratings.users.size(),
          ratings.items.size(), ratings.values.size(), ratings.weights.size());
  Builder builder(ctx, grid, first, last, std::move(ratings), seed);
  builder.run();
  SgdRatings result;
  result.first_block_ = first;
  result.user_blocks_ = last - first;
  result.item_blocks_ = grid.items.blocks;
  for (std::int32_t block = 0; block <= result.user_blocks_; ++block)
    result.user_block_first_.push_back(
        builder.offsets[at(std::int64_t{block} * grid.items.blocks)]);
  result.host_ = std::move(builder.ratings);
  if (ctx.is_cuda()) {
    move_to_device(ctx, result.host_.users, result.users_);
    move_to_device(ctx, result.host_.items, result.items_);
    move_to_device(ctx, result.host_.values, result.values_);
    move_to_device(ctx, result.host_.weights, result.weights_);
  }
  result.offsets_ = Buffer<std::int64_t>::from_host(ctx, builder.offsets);
  result.block_groups_ = Buffer<std::int64_t>::from_host(ctx, builder.block_groups);
  result.group_sizes_ = Buffer<std::uint8_t>::from_host(ctx, builder.group_sizes);
  return result;
}

}  // namespace gradmill
