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
constexpr std::int32_t kTiles = 16;
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

SgdSide make_side(std::span<const std::int64_t> counts, std::int32_t blocks) {
  SgdSide side{blocks, kTiles, std::vector<std::int32_t>(counts.size()), {}};
  std::vector<std::int32_t> order(counts.size()), block_of(counts.size()), tile_of(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return counts[at(a)] > counts[at(b)]; });
  deal(order, counts, blocks, block_of);
  std::vector<std::vector<std::int32_t>> rows_of_block(at(blocks));
  for (const std::int32_t row : order) rows_of_block[at(block_of[at(row)])].push_back(row);

  side.tile_first.assign(at(blocks) * kTiles + 1, 0);
  for (std::int32_t block = 0; block < blocks; ++block) {
    deal(rows_of_block[at(block)], counts, kTiles, tile_of);
    for (const std::int32_t row : rows_of_block[at(block)])
      ++side.tile_first[at(block * kTiles + tile_of[at(row)]) + 1];
  }
  std::partial_sum(side.tile_first.begin(), side.tile_first.end(), side.tile_first.begin());
  std::vector<std::int64_t> next(side.tile_first.begin(), side.tile_first.end() - 1);
  for (const std::int32_t row : order)
    side.storage[at(row)] =
        static_cast<std::int32_t>(next[at(block_of[at(row)] * kTiles + tile_of[at(row)])]++);
  return side;
}

/// Tile (counted through all blocks) of each storage row.
std::vector<std::int32_t> tile_of_storage(const SgdSide& side) {
  std::vector<std::int32_t> tile(side.storage.size());
  for (std::size_t t = 0; t + 1 < side.tile_first.size(); ++t)
    std::fill(tile.begin() + side.tile_first[t], tile.begin() + side.tile_first[t + 1],
              static_cast<std::int32_t>(t));
  return tile;
}

struct Keyed {
  std::uint32_t tile, key;
  SgdRating rating;
  auto order() const {  // ends with the whole content, so that equal elements are identical
    return std::tuple(tile, key, rating.user, rating.item,
                      std::bit_cast<std::uint32_t>(rating.value));
  }
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
        user_tile_(tile_of_storage(grid.users)),
        item_tile_(tile_of_storage(grid.items)) {}

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
    tile_offsets.assign(at(blocks_ * kTiles * kTiles) + 1, sum);
    ctx_.threads().parallel_for(blocks_, 1,
                                [&](std::int64_t block, std::int64_t, int) { order_block(block); });
    ratings.upload(staging_);
  }

  std::vector<std::int64_t> offsets, tile_offsets;
  Buffer<SgdRating> ratings;

 private:
  template <class Body>
  void for_each(std::int64_t chunk, Body&& body) const {
    const auto size = static_cast<std::int64_t>(triples_.values.size());
    for (std::int64_t e = chunk * kChunk; e < std::min((chunk + 1) * kChunk, size); ++e) {
      check(e);
      const std::int32_t user = grid_.users.storage[at(triples_.users[at(e)])],
                         item = grid_.items.storage[at(triples_.items[at(e)])];
      const std::int32_t i = user_tile_[at(user)] / kTiles - first_,
                         j = item_tile_[at(item)] / kTiles;
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

  void order_block(std::int64_t block) {
    const std::int64_t begin = offsets[at(block)], end = offsets[at(block) + 1];
    const auto user_base = static_cast<std::int32_t>(grid_.users.first(first_));
    std::vector<Keyed> keyed(at(end - begin));
    for (std::int64_t e = begin; e < end; ++e) {
      const SgdRating r = out_[at(e)];
      const auto pair =
          static_cast<std::uint64_t>(r.user) << 32 | static_cast<std::uint32_t>(r.item);
      keyed[at(e - begin)] = {static_cast<std::uint32_t>(user_tile_[at(r.user)] % kTiles * kTiles +
                                                         item_tile_[at(r.item)] % kTiles),
                              random_bits(seed_, RandomStream::shuffle, pair).x[0],
                              {r.user - user_base, r.item, r.value}};
    }
    std::sort(keyed.begin(), keyed.end(),
              [](const Keyed& a, const Keyed& b) { return a.order() < b.order(); });
    std::int64_t tile = 0;
    std::int64_t* first_of_tile = tile_offsets.data() + block * kTiles * kTiles;
    for (std::int64_t e = begin; e < end; ++e) {
      const Keyed& k = keyed[at(e - begin)];
      while (tile <= k.tile) first_of_tile[tile++] = e;
      out_[at(e)] = k.rating;
    }
    while (tile < kTiles * kTiles) first_of_tile[tile++] = end;
  }

  const Context& ctx_;
  const SgdGrid& grid_;
  const RatingTriples& triples_;
  std::uint64_t seed_;
  std::int32_t first_;
  std::int64_t blocks_;
  std::vector<std::int32_t> user_tile_, item_tile_;
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
  return {ratings_.view(), offsets_.view(), user_blocks_,
          item_blocks_,    tiles_,          tile_offsets_.view()};
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
  result.tiles_ = kTiles;
  result.ratings_ = std::move(builder.ratings);
  result.offsets_ = Buffer<std::int64_t>::from_host(ctx, builder.offsets);
  result.tile_offsets_ = Buffer<std::int64_t>::from_host(ctx, builder.tile_offsets);
  return result;
}

}  // namespace gradmill
