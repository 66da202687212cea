// The rows of a half-step as a line of work that blocks share equally without a plan.
//
// An item is a row, or a chunk of a heavy row's ratings. An item's place on the line is the number of
// ratings before it plus row_cost for each row before it: a prefix sum that the row offsets contain
// already, so a block finds its share by binary search, and nothing is sorted, counted or waited for.
// What an item sums up depends on its row alone, not on the number of blocks.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace gradmill {

struct RowItem {
  std::int64_t row, chunk;
};

struct RowLine {
  const std::int64_t* offsets = nullptr;  // [rows + 1], need not start at 0
  std::int64_t rows = 0;
  std::int64_t chunk = std::int64_t{1}
                       << 40;  // ratings of a heavy row's chunk; rows up to it are one item
  std::int64_t row_cost = 0;   // what a row costs beside its ratings, in ratings

  GRADMILL_HD std::int64_t position(std::int64_t row) const { return offsets[row] - offsets[0]; }
  GRADMILL_HD std::int64_t entries(std::int64_t row) const {
    return offsets[row + 1] - offsets[row];
  }
  GRADMILL_HD std::int64_t cost(std::int64_t row) const { return position(row) + row_cost * row; }
  GRADMILL_HD std::int64_t start(const RowItem& item) const {
    return position(item.row) + item.chunk * chunk;
  }
  GRADMILL_HD std::int64_t place(const RowItem& item) const {
    return start(item) + row_cost * item.row;
  }
  GRADMILL_HD RowItem next(const RowItem& item) const {
    if ((item.chunk + 1) * chunk < entries(item.row)) return {item.row, item.chunk + 1};
    return {item.row + 1, 0};
  }

  /// First row in [0, rows] with position (or cost) of at least `wanted`.
  GRADMILL_HD std::int64_t row_at(std::int64_t wanted, bool by_cost) const {
    std::int64_t low = 0, high = rows;
    while (low < high) {
      const std::int64_t middle = (low + high) / 2;
      if ((by_cost ? cost(middle) : position(middle)) >= wanted)
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }
  /// First item with position (or place) of at least `wanted`; chunks of the row before count.
  GRADMILL_HD RowItem item_at(std::int64_t wanted, bool by_cost) const {
    const std::int64_t row = row_at(wanted, by_cost);
    if (row == 0) return {0, 0};
    const std::int64_t left = wanted - (by_cost ? cost(row - 1) : position(row - 1));
    const std::int64_t next = (left + chunk - 1) / chunk;
    if (next < entries(row - 1) / chunk + 1 && next * chunk < entries(row - 1))
      return {row - 1, next};
    return {row, 0};
  }
};

/// Ratings of a chunk that heavy rows are cut into. A chunk's sums, 2 k^2 bytes, shall be small beside
/// its ratings and their factors (at 2 k^2 ratings they are one byte a rating), and shares of the line
/// on a large device shall have several chunks.
GRADMILL_HD inline std::int64_t heavy_chunk(std::int64_t k, std::int64_t nnz) {
  const auto least = [](std::int64_t a, std::int64_t b) { return a < b ? a : b; };
  const std::int64_t by_factors = least(16 * k < 1024 ? 1024 : 16 * k, 4096);
  const std::int64_t by_sums = least(2 * k * k, least(nnz / 2048, 16384));
  return by_factors > by_sums ? by_factors : by_sums;
}

/// A block's part of the line: items from `first` on until one begins at or after an end.
struct RowShare {
  RowItem first;
  std::int64_t end_position, end_place;

  GRADMILL_HD bool holds(const RowLine& line, const RowItem& item) const {
    return item.row < line.rows && line.start(item) < end_position && line.place(item) < end_place;
  }
};

/// The share of block `block` of `blocks` in the items that begin in positions [from, to).
GRADMILL_HD inline RowShare row_share(const RowLine& line, std::int64_t from, std::int64_t to,
                                      std::int64_t block, std::int64_t blocks) {
  const bool all = to > line.position(line.rows);  // else rows without ratings may follow at `to`
  const std::int64_t low = from + (from ? line.row_cost * line.row_at(from, false) : 0);
  const std::int64_t high =
      all ? line.cost(line.rows) : to + line.row_cost * line.row_at(to, false);
  const auto border = [&](std::int64_t b) {
    return low + static_cast<std::int64_t>(static_cast<double>(high - low) *
                                           static_cast<double>(b) / static_cast<double>(blocks));
  };
  return {block == 0 ? line.item_at(from, false) : line.item_at(border(block), true),
          all ? INT64_MAX : to, block + 1 == blocks ? INT64_MAX : border(block + 1)};
}

/// How many shares to cut the line into where blocks take the next one as they become free: work that
/// shares leave out, because it is of the other kind of rows, then delays none of them.
GRADMILL_HD inline std::int64_t shares_by_turns(const RowLine& line, std::int64_t nnz,
                                                std::int64_t blocks) {
  constexpr std::int64_t kSharesPerBlock = 32, kLeastCost = 512;
  const std::int64_t most = (nnz + line.rows * line.row_cost) / kLeastCost + 1;
  return most < kSharesPerBlock * blocks ? most : kSharesPerBlock * blocks;
}

}  // namespace gradmill
