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
constexpr std::int64_t kChunk = 1 << 18;  // ratings read by one thread at a time

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

struct Keyed {
  std::uint32_t strip, key;
  SgdRating rating;
  auto order() const {  // ends with the whole content, so that equal elements are identical
    return std::tuple(strip, key, rating.user, rating.item,
                      std::bit_cast<std::uint32_t>(rating.value));
  }
};

/// Puts ratings into groups without a common row: see sgd_ratings().
class GroupSchedule {
 public:
  GroupSchedule(std::int64_t users, std::int64_t items)
      : after_user_(at(users)), after_item_(at(items)) {}

  /// The ratings of one strip by group, and the groups' sizes; row ids count from 0.
  void schedule(std::span<const SgdRating> ratings, std::span<SgdRating> out,
                std::vector<std::int64_t>& sizes) {
    group_.clear();
    sizes.clear();
    open_.clear();
    for (const SgdRating& r : ratings) {
      const std::size_t group =
          first_open(at(std::max(after_user_[at(r.user)], after_item_[at(r.item)])), sizes);
      group_.push_back(group);
      after_user_[at(r.user)] = after_item_[at(r.item)] = static_cast<std::int32_t>(group) + 1;
      if (++sizes[group] == kGroupRatings) open_[group] = group + 1;
    }
    std::vector<std::int64_t> next(sizes.size());
    std::exclusive_scan(sizes.begin(), sizes.end(), next.begin(), std::int64_t{0});
    for (std::size_t e = 0; e < ratings.size(); ++e) out[at(next[group_[e]]++)] = ratings[e];
    for (const SgdRating& r : ratings) after_user_[at(r.user)] = after_item_[at(r.item)] = 0;
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

/// Builds the blocks [first, last) of a grid in three passes: count, deal out, order each block.
class Builder {
 public:
  Builder(const Context& ctx, const SgdGrid& grid, std::int32_t first, std::int32_t last,
          const RatingTriples& triples, std::uint64_t seed)
      : ctx_(ctx),
        grid_(grid),
        triples_(triples),
        seed_(seed),
        first_(first),
        blocks_(std::int64_t{last - first} * grid.items.blocks),
        user_block_(block_of_storage(grid.users)),
        item_block_(block_of_storage(grid.items)) {}

  void run() {
    const auto size = static_cast<std::int64_t>(triples_.values.size());
    const std::int64_t chunks = (size + kChunk - 1) / kChunk;
    std::vector<std::vector<std::int64_t>> next(at(chunks), std::vector<std::int64_t>(at(blocks_)));
    ctx_.threads().parallel_for(chunks, 1, [&](std::int64_t chunk, std::int64_t, int) {
      for_each(chunk, [&](std::int64_t block, const SgdRating&) { ++next[at(chunk)][at(block)]; });
    });
    offsets.assign(at(blocks_) + 1, 0);
    std::int64_t sum = 0;
    for (std::int64_t block = 0; block < blocks_; ++block) {
      offsets[at(block)] = sum;
      for (auto& counts : next) sum += std::exchange(counts[at(block)], sum);
    }
    offsets.back() = sum;
    ratings = Buffer<SgdRating>(ctx_, sum);
    if (ctx_.is_cuda()) staging_.resize(at(sum));
    out_ = ctx_.is_cuda() ? std::span(staging_) : std::span(ratings.view().data, at(sum));
    ctx_.threads().parallel_for(chunks, 1, [&](std::int64_t chunk, std::int64_t, int) {
      for_each(chunk, [&](std::int64_t block, const SgdRating& r) {
        out_[at(next[at(chunk)][at(block)]++)] = r;
      });
    });
    std::vector<std::vector<std::int64_t>> groups(at(blocks_));
    ctx_.threads().parallel_for(blocks_, 1, [&](std::int64_t block, std::int64_t, int) {
      groups[at(block)] = order_block(block);
    });
    for (const auto& ends : groups) {
      block_groups.push_back(static_cast<std::int64_t>(group_offsets.size()) - 1);
      group_offsets.insert(group_offsets.end(), ends.begin(), ends.end());
    }
    block_groups.push_back(static_cast<std::int64_t>(group_offsets.size()) - 1);
    ratings.upload(staging_);
  }

  std::vector<std::int64_t> offsets, block_groups, group_offsets{0};
  Buffer<SgdRating> ratings;

 private:
  template <class Body>
  void for_each(std::int64_t chunk, Body&& body) const {
    const auto size = static_cast<std::int64_t>(triples_.values.size());
    for (std::int64_t e = chunk * kChunk; e < std::min((chunk + 1) * kChunk, size); ++e) {
      check(e);
      const std::int32_t user = grid_.users.storage[at(triples_.users[at(e)])],
                         item = grid_.items.storage[at(triples_.items[at(e)])];
      const std::int32_t i = user_block_[at(user)] - first_, j = item_block_[at(item)];
      const std::int64_t block = std::int64_t{i} * grid_.items.blocks + j;
      if (i < 0 || block >= blocks_) continue;  // another rank's user
      body(block, SgdRating{user, item, triples_.values[at(e)]});
    }
  }

  void check(std::int64_t e) const {
    const auto user = static_cast<std::uint32_t>(triples_.users[at(e)]),
               item = static_cast<std::uint32_t>(triples_.items[at(e)]);
    require(user < grid_.users.storage.size() && item < grid_.items.storage.size(),
            "sgd_ratings: rating {} is of user {} and item {}; the grid has {} and {}", e, user,
            item, grid_.users.storage.size(), grid_.items.storage.size());
  }

  /// Orders a block; returns where its groups end.
  std::vector<std::int64_t> order_block(std::int64_t block) {
    const std::int64_t begin = offsets[at(block)], end = offsets[at(block) + 1];
    const std::int32_t i = first_ + static_cast<std::int32_t>(block / grid_.items.blocks),
                       j = static_cast<std::int32_t>(block % grid_.items.blocks);
    const auto user_first = static_cast<std::int32_t>(grid_.users.first(i)),
               item_first = static_cast<std::int32_t>(grid_.items.first(j)),
               user_base = static_cast<std::int32_t>(grid_.users.first(first_));
    const std::int64_t users = grid_.users.rows_of(i);
    const std::int64_t strip_users = users ? (users + strips_of(users) - 1) / strips_of(users) : 1;
    std::vector<Keyed> keyed(at(end - begin));
    for (std::int64_t e = begin; e < end; ++e) {
      const SgdRating r = out_[at(e)];
      const auto pair =
          static_cast<std::uint64_t>(r.user) << 32 | static_cast<std::uint32_t>(r.item);
      keyed[at(e - begin)] = {static_cast<std::uint32_t>((r.user - user_first) / strip_users),
                              random_bits(seed_, RandomStream::shuffle, pair).x[0],
                              {r.user - user_first, r.item - item_first, r.value}};
    }
    std::sort(keyed.begin(), keyed.end(),
              [](const Keyed& a, const Keyed& b) { return a.order() < b.order(); });
    GroupSchedule groups(users, grid_.items.rows_of(j));
    std::vector<SgdRating> strip;
    std::vector<std::int64_t> ends, sizes;
    std::int64_t done = begin;
    for (std::size_t e = 0; e < keyed.size();) {
      strip.clear();
      for (const std::uint32_t s = keyed[e].strip; e < keyed.size() && keyed[e].strip == s; ++e)
        strip.push_back(keyed[e].rating);
      groups.schedule(strip, out_.subspan(at(done), strip.size()), sizes);
      for (const std::int64_t size : sizes) ends.push_back(done += size);
    }
    for (SgdRating& r : out_.subspan(at(begin), at(end - begin))) {
      r.user += user_first - user_base;
      r.item += item_first;
    }
    return ends;
  }

  const Context& ctx_;
  const SgdGrid& grid_;
  const RatingTriples& triples_;
  std::uint64_t seed_;
  std::int32_t first_;
  std::int64_t blocks_;
  std::vector<std::int32_t> user_block_, item_block_;
  std::vector<SgdRating> staging_;  // where ctx_'s memory cannot be written from here
  std::span<SgdRating> out_;
};
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
  return {ratings_.view(), offsets_.view(),      user_blocks_,
          item_blocks_,    block_groups_.view(), group_offsets_.view()};
}

SgdRatings sgd_ratings(const Context& ctx, const SgdGrid& grid, std::int32_t first,
                       std::int32_t last, const RatingTriples& triples, std::uint64_t seed) {
  require(0 <= first && first <= last && last <= grid.users.blocks,
          "sgd_ratings: user blocks [{}, {}) of {}", first, last, grid.users.blocks);
  require(triples.users.size() == triples.values.size() &&
              triples.items.size() == triples.values.size(),
          "sgd_ratings: {} users, {} items and {} values", triples.users.size(),
          triples.items.size(), triples.values.size());
  Builder builder(ctx, grid, first, last, triples, seed);
  builder.run();
  SgdRatings result;
  result.first_block_ = first;
  result.user_blocks_ = last - first;
  result.item_blocks_ = grid.items.blocks;
  result.ratings_ = std::move(builder.ratings);
  result.offsets_ = Buffer<std::int64_t>::from_host(ctx, builder.offsets);
  result.block_groups_ = Buffer<std::int64_t>::from_host(ctx, builder.block_groups);
  result.group_offsets_ = Buffer<std::int64_t>::from_host(ctx, builder.group_offsets);
  return result;
}

}  // namespace gradmill
