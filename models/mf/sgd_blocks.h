// Ratings cut into blocks for SGD: which block a user or an item belongs to, where its row is
// stored, and in which order ratings are applied. A pure function of the ratings and the seed: not
// of threads, ranks, devices or the order in which ratings were read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/mf_sgd/mf_sgd.h"
#include "models/mf/ratings.h"
#include "runtime/buffer.h"

namespace gradmill {

/// One side of the grid. Rows (users or items) are renumbered so that a block's rows are contiguous in
/// storage: threads share no cache lines of factors, and a block is sent in one piece.
struct SgdSide {
  std::int32_t blocks = 1;
  std::vector<std::int32_t> storage;      // [rows] storage row of row r; a permutation
  std::vector<std::int64_t> block_first;  // [blocks + 1] first storage row of each block

  std::int64_t first(std::int32_t block) const {
    return block_first[static_cast<std::size_t>(block)];
  }
  std::int64_t rows_of(std::int32_t block) const { return first(block + 1) - first(block); }
};

struct SgdGrid {
  SgdSide users, items;
};

/// Blocks a side for so many ratings: about cbrt(ratings) / 8, a power of two in [1, 256], and no
/// more than there are rows on either side. Few enough that a block's rows are used several times
/// while they are in cache (the traffic of an epoch is blocks x table), many enough for the cores of
/// a machine or the ranks of a job.
std::int32_t sgd_block_count(std::int64_t ratings, std::int64_t users, std::int64_t items);

/// The grid for rows with so many ratings each. Heaviest rows first, each to the block that has the
/// least ratings so far (Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math.
/// 17, 1969: within 4/3 of the best). Every rank passes the counts of all ranks' ratings and gets
/// the same grid.
SgdGrid sgd_grid(std::span<const std::int64_t> user_counts,
                 std::span<const std::int64_t> item_counts);

inline constexpr std::int64_t kStripUsers = 256;
inline constexpr std::int64_t kGroupRatings = 16;

/// User blocks [first, last) of the grid: what one rank owns. Local block i is the grid's block
/// first + i, so in wave s, which pairs user block i with item block (i + s) mod item_blocks, the
/// kernel is called with shift = (s + first) mod item_blocks.
class SgdRatings {
 public:
  SgdBlocks blocks() const;
  std::int32_t first_block() const { return first_block_; }
  std::int64_t size() const { return blocks().values.size; }
  /// A row for each of the `users` users, with the items, ascending; in ctx's memory. Made anew, since it
  /// is not needed to train. host: a CPU context.
  CsrRatings by_user(const Context& ctx, const Context& host, std::int64_t users,
                     std::int64_t items) const;
  /// How many ratings each of the `users` users has.
  std::vector<std::int64_t> user_counts(const Context& ctx, std::int64_t users) const;
  /// by_user() of one local user block alone, whose `users` rows begin at first_user; in host's memory.
  CsrRatings by_user_of_block(const Context& ctx, const Context& host, std::int32_t block,
                              std::int64_t first_user, std::int64_t users,
                              std::int64_t items) const;

 private:
  friend SgdRatings sgd_ratings(const Context&, const SgdGrid&, std::int32_t, std::int32_t, Ratings,
                                std::uint64_t);
  std::int32_t first_block_ = 0, user_blocks_ = 0, item_blocks_ = 0;
  std::vector<std::int64_t> user_block_first_;  // [user_blocks_ + 1] of the ratings
  Ratings host_;                                // the ratings, unless they are in a GPU's memory:
  Buffer<std::int32_t> users_, items_;
  Buffer<float> values_, weights_;
  Buffer<std::int64_t> offsets_, block_groups_;
  Buffer<std::uint8_t> group_sizes_;
};

/// Cuts the ratings of users in user blocks [first, last); ratings of other users are left out, so a
/// rank may pass all that it has read. Ratings have row ids (not storage rows) in any order, and are
/// reordered in place. SgdBlocks::users count from the range's first storage row
/// (grid.users.first(first)), SgdBlocks::items are storage rows.
/// Order    strips of at most kStripUsers users, so that few user rows are in use at a time; in a
///          strip groups of up to kGroupRatings ratings without a common row, by list scheduling:
///          each rating, in the order of a keyed hash of user and item, joins the first group that
///          has room after the last groups of its rows.
/// Memory   the ratings, and that of a block for each thread.
/// Errors   contract if the columns' lengths or an id disagree with the grid.
SgdRatings sgd_ratings(const Context& ctx, const SgdGrid& grid, std::int32_t first,
                       std::int32_t last, Ratings ratings, std::uint64_t seed);

}  // namespace gradmill
