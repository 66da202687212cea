// Every collective against a naive reference that each rank computes alone, on any communicator.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "dist/communicator.h"
#include "runtime/buffer.h"

namespace gradmill::testing {

inline constexpr std::int64_t kSizes[] = {0, 1, 31, 32, 33, 257, 10'000};

/// What rank r holds at place i: any rank can tell. Floats do not add up exactly, so order shows.
template <class T>
T value_at(int rank, std::int64_t i) {
  const auto mixed = static_cast<std::uint32_t>(i * 2654435761u + rank * 40503u + 12345u);
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(std::ldexp(static_cast<double>(mixed) - 2e9, -20 - rank % 3));
  else
    return static_cast<T>(mixed);
}

template <class T>
std::vector<T> values_of(int rank, std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] = value_at<T>(rank, i);
  return values;
}

template <class T>
T sum_in_rank_order(int ranks, std::int64_t i) {
  T sum = value_at<T>(0, i);
  for (int r = 1; r < ranks; ++r) {
    if constexpr (std::is_integral_v<T>)  // wraps
      sum = static_cast<T>(static_cast<std::uint64_t>(sum) +
                           static_cast<std::uint64_t>(value_at<T>(r, i)));
    else
      sum += value_at<T>(r, i);
  }
  return sum;
}

/// Counts that differ between ranks, with zeros, for about `total` elements.
inline std::vector<std::int64_t> uneven_counts(int ranks, std::int64_t total) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < ranks; ++r) counts.push_back(r % 3 == 1 ? 0 : total * (r + 1) / (2 * ranks));
  return counts;
}

inline std::int64_t sum_of(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}
inline std::int64_t before(const std::vector<std::int64_t>& counts, int rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, std::int64_t{0});
}

/// exact: the communicator adds in rank order.
class CollectiveChecks {
 public:
  CollectiveChecks(const Context& ctx, Communicator& comm, bool exact)
      : ctx_(ctx), comm_(comm), exact_(exact), rank_(comm.rank()), ranks_(comm.world_size()) {}

  template <class T>
  void all_types_of_sum() {
    for (const std::int64_t size : kSizes) {
      all_reduce<T>(size);
      reduce_scatter<T>(even_counts(size));
      reduce_scatter<T>(uneven_counts(ranks_, size));
    }
  }
  template <class T>
  void all_types_of_move() {
    for (const std::int64_t size : kSizes) {
      all_gather<T>(even_counts(size));
      all_gather<T>(uneven_counts(ranks_, size));
      for (int root = 0; root < ranks_; ++root) broadcast<T>(size, root);
      all_to_all<T>(size);
    }
  }
  void everything() {
    all_types_of_sum<float>();
    all_types_of_sum<double>();
    all_types_of_sum<std::int32_t>();
    all_types_of_sum<std::int64_t>();
    all_types_of_move<float>();
    all_types_of_move<double>();
    all_types_of_move<std::int32_t>();
    all_types_of_move<std::int64_t>();
    all_types_of_move<std::uint8_t>();
    comm_.barrier();
  }

  template <class T>
  void all_reduce(std::int64_t count) {
    SCOPED_TRACE("all_reduce_sum of " + std::to_string(count));
    auto values = Buffer<T>::from_host(ctx_, values_of<T>(rank_, count));
    comm_.all_reduce_sum(ctx_, values.view());
    const std::vector<T> got = values.to_host();
    for (std::int64_t i = 0; i < count; ++i)
      expect_sum(got[static_cast<std::size_t>(i)], sum_in_rank_order<T>(ranks_, i), i);
    same_on_all_ranks(got);
  }

  template <class T>
  void reduce_scatter(const std::vector<std::int64_t>& counts) {
    SCOPED_TRACE("reduce_scatter_sum of " + std::to_string(sum_of(counts)));
    const std::int64_t first = before(counts, rank_),
                       mine = counts[static_cast<std::size_t>(rank_)];
    auto all = Buffer<T>::from_host(ctx_, values_of<T>(rank_, sum_of(counts)));
    Buffer<T> part(ctx_, mine);
    comm_.reduce_scatter_sum(ctx_, all.view(), counts, part.view());
    const std::vector<T> got = part.to_host();
    for (std::int64_t i = 0; i < mine; ++i)
      expect_sum(got[static_cast<std::size_t>(i)], sum_in_rank_order<T>(ranks_, first + i), i);
    comm_.reduce_scatter_sum(ctx_, all.view(), counts, all.view().slice(first, mine));  // in place
    const std::vector<T> in_place = all.to_host();
    for (std::int64_t i = 0; i < mine; ++i)
      ASSERT_EQ(in_place[static_cast<std::size_t>(first + i)], got[static_cast<std::size_t>(i)])
          << i;
  }

  template <class T>
  void all_gather(const std::vector<std::int64_t>& counts) {
    SCOPED_TRACE("all_gather of " + std::to_string(sum_of(counts)));
    const std::int64_t mine = counts[static_cast<std::size_t>(rank_)];
    auto part = Buffer<T>::from_host(ctx_, values_of<T>(rank_, mine));
    Buffer<T> all(ctx_, sum_of(counts)), in_place(ctx_, sum_of(counts));
    comm_.all_gather(ctx_, part.view(), counts, all.view());
    const auto own = in_place.view().slice(before(counts, rank_), mine);
    copy<T>(ctx_, own, part.view());
    comm_.all_gather(ctx_, own, counts, in_place.view());
    std::vector<T> want;
    for (int r = 0; r < ranks_; ++r)
      for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(r)]; ++i)
        want.push_back(value_at<T>(r, i));
    EXPECT_EQ(all.to_host(), want);
    EXPECT_EQ(in_place.to_host(), want);
  }

  template <class T>
  void broadcast(std::int64_t count, int root) {
    SCOPED_TRACE("broadcast of " + std::to_string(count) + " from " + std::to_string(root));
    auto values = Buffer<T>::from_host(ctx_, values_of<T>(rank_, count));
    comm_.broadcast(ctx_, values.view(), root);
    EXPECT_EQ(values.to_host(), values_of<T>(root, count));
  }

  /// Rank s sends rank r the elements s * ranks + r of a table of sizes, some of which are 0.
  template <class T>
  void all_to_all(std::int64_t total) {
    SCOPED_TRACE("all_to_all of " + std::to_string(total));
    const auto size = [&](int from, int to) {
      return (from + 2 * to) % 3 == 0 ? 0 : total * (from + 1) / (to + ranks_);
    };
    std::vector<std::int64_t> sent, received;
    std::vector<T> want;
    for (int r = 0; r < ranks_; ++r) {
      sent.push_back(size(rank_, r));
      received.push_back(size(r, rank_));
      std::int64_t first = 0;
      for (int to = 0; to < rank_; ++to) first += size(r, to);
      for (std::int64_t i = 0; i < received.back(); ++i) want.push_back(value_at<T>(r, first + i));
    }
    auto send = Buffer<T>::from_host(ctx_, values_of<T>(rank_, sum_of(sent)));
    Buffer<T> receive(ctx_, sum_of(received));
    comm_.all_to_all(ctx_, send.view(), sent, receive.view(), received);
    EXPECT_EQ(receive.to_host(), want);
  }

 private:
  std::vector<std::int64_t> even_counts(std::int64_t total) const {
    return std::vector<std::int64_t>(static_cast<std::size_t>(ranks_), total / ranks_);
  }

  template <class T>
  void expect_sum(T got, T want, std::int64_t place) {
    if (exact_ || std::is_integral_v<T>)
      ASSERT_EQ(got, want) << "element " << place;
    else  // summands are below 2^12
      ASSERT_NEAR(got, want, ranks_ * 4096 * std::numeric_limits<T>::epsilon())
          << "element " << place;
  }

  /// Equal bits: every rank compares with rank 0's.
  template <class T>
  void same_on_all_ranks(const std::vector<T>& mine) {
    std::vector<T> first = mine;
    comm_.broadcast(ctx_, VectorView<T>{first.data(), static_cast<std::int64_t>(first.size())}, 0);
    EXPECT_EQ(first, mine);
  }

  const Context& ctx_;
  Communicator& comm_;
  bool exact_;
  int rank_, ranks_;
};

}  // namespace gradmill::testing
