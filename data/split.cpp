#include "data/split.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

#include "runtime/expect.h"
#include "runtime/random.h"

namespace gradmill {
namespace {

// Of the ids' text: the same whether a file's ids were read as numbers or as strings.
std::vector<std::uint64_t> hashes(const Vocabulary& ids) {
  std::vector<std::uint64_t> all(static_cast<std::size_t>(ids.size()));
  for (std::size_t row = 0; row < all.size(); ++row) {
    const std::string text = ids.text(static_cast<std::int32_t>(row));
    all[row] = XXH3_64bits(text.data(), text.size());
  }
  return all;
}

}  // namespace

Split split_by_fraction(const RatingTable& table, double test_fraction, std::uint64_t seed) {
  expect(test_fraction >= 0 && test_fraction <= 1, ErrorKind::usage,
         "a test fraction of {}; expected one between 0 and 1", test_fraction);
  const auto users = hashes(table.users), items = hashes(table.items);
  Split split;
  for (std::int64_t r = 0; r < table.rows(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    const std::uint64_t user = users[static_cast<std::size_t>(table.user[i])];
    const std::uint64_t item = items[static_cast<std::size_t>(table.item[i])];
    // The rotation keeps (a, b) and (b, a) apart; Philox mixes the sum with the seed.
    const Philox4 bits = random_bits(seed, RandomStream::split, user + std::rotl(item, 23));
    const double unit = (bits.x[0] + 0x1p-21 * (bits.x[1] >> 11)) * 0x1p-32;  // 53 bits
    (unit < test_fraction ? split.test : split.train).push_back(r);
  }
  return split;
}

Split split_last_out(const RatingTable& table, int count) {
  expect(count >= 1, ErrorKind::usage, "{} ratings of each user for testing; expected at least 1",
         count);
  expect(!table.timestamp.empty() || table.rows() == 0, ErrorKind::data,
         "the last ratings of each user cannot be found without a timestamp column");
  std::vector<std::int64_t> order(static_cast<std::size_t>(table.rows()));
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::int64_t row) {
    const auto i = static_cast<std::size_t>(row);
    return std::tuple(table.user[i], ~table.timestamp[i], ~table.item[i]);  // ~ reverses order
  };
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return key(a) < key(b); });

  Split split;
  for (std::size_t begin = 0, end; begin < order.size(); begin = end) {
    const std::int32_t user = std::get<0>(key(order[begin]));
    std::size_t cut = begin;  // rows [begin, cut) are the last `count` ratings
    int taken = 0;
    for (end = begin; end < order.size() && std::get<0>(key(order[end])) == user; ++end) {
      const bool another = end == begin || key(order[end]) != key(order[end - 1]);
      if (another && ++taken == count + 1) cut = end;
    }
    split.test.insert(split.test.end(), order.begin() + static_cast<std::ptrdiff_t>(begin),
                      order.begin() + static_cast<std::ptrdiff_t>(cut));
    split.train.insert(split.train.end(), order.begin() + static_cast<std::ptrdiff_t>(cut),
                       order.begin() + static_cast<std::ptrdiff_t>(end));
  }
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.test.begin(), split.test.end());
  return split;
}

}  // namespace gradmill
