// How the gradients of mini-batches come together. Planned once: the batches are the same in every epoch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "dist/shard.h"

namespace gradmill {

/// none     one rank.
/// dense    all-reduce of all columns.
/// touched  all-reduce of the columns that a batch touches on any rank.
/// sparse   all-gather of the columns that each rank's rows touch; every rank adds them.
/// sharded  each column has an owner, which has its optimizer state: ranks send it the gradients of the
///          columns that their rows touch (reduce-scatter), it updates, and sends the columns that rows of
///          the next batch touch to where those are (all-gather).
/// On the CPU the last three give the same bits: contributions are added in the order of ranks. "dense" updates
/// all columns in every step, so moments and penalties act on those, too, that a batch does not touch.
enum class Exchange { none, dense, touched, sparse, sharded };
inline constexpr int kExchanges = 5;
const char* name_of(Exchange exchange);

/// For each batch a list: values[starts[b]] .. values[starts[b + 1]].
struct BatchLists {
  std::vector<std::int64_t> starts{0};
  std::vector<std::int32_t> values;

  std::int64_t batches() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  std::int64_t count(std::int64_t b) const {
    return starts[static_cast<std::size_t>(b) + 1] - starts[static_cast<std::size_t>(b)];
  }
  std::span<const std::int32_t> operator[](std::int64_t b) const {
    return {values.data() + starts[static_cast<std::size_t>(b)],
            static_cast<std::size_t>(count(b))};
  }
  void append(std::span<const std::int32_t> list) {
    values.insert(values.end(), list.begin(), list.end());
    starts.push_back(static_cast<std::int64_t>(values.size()));
  }
  std::int64_t longest() const;
};

struct ExchangePlan {
  Exchange kind = Exchange::none;
  /// Values that a rank receives in an epoch, for one output, mean over ranks: counted for every kind that
  /// could have been (else 0).
  std::array<double, kExchanges> received{};
  std::vector<std::int64_t> bounds;  // sharded: rank r owns columns [bounds[r], bounds[r + 1])

  BatchLists gradient;  // columns of which a rank forms sums from its rows
  // sparse, sharded:
  BatchLists updated;              // columns that this rank updates
  BatchLists part_offsets, parts;  // of LinearBatchUpdateArgs, for `updated`
  BatchLists served;               // sharded: columns of the rows that come in, by rank
  std::vector<std::int64_t> sent,
      incoming;  // [batches, ranks]: rows of the gradient to and from each

  std::span<const std::int64_t> counts(const std::vector<std::int64_t>& of, std::int64_t b,
                                       int ranks) const {
    return {of.data() + b * ranks, static_cast<std::size_t>(ranks)};
  }
  /// "exchange sparse: 1.20 MB a rank and epoch (dense 310, touched 2.3, sharded 1.4)"
  std::string describe(int outputs) const;
};

/// For sparse rows. Collective. mine: the columns, ascending, that this rank's rows of each batch touch;
/// columns: of all features and the intercept, if there is one. wanted: "auto" takes what receives the
/// fewest bytes (the first of several), else a kind's name.
ExchangePlan plan_exchange(const Context& host, Communicator& comm, const std::string& wanted,
                           BatchLists mine, std::int64_t columns);

/// For dense rows, of which every batch touches all columns: dense, or sharded if that is wanted. No lists.
ExchangePlan plan_dense_exchange(const Communicator& comm, const std::string& wanted,
                                 std::int64_t batches, std::int64_t columns);

}  // namespace gradmill
