#include <algorithm>

#include "data/vocabulary.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

constexpr std::int64_t kGrain = 1 << 16;

template <class T>
void append(std::vector<T>& to, const std::vector<T>& values) {
  to.insert(to.end(), values.begin(), values.end());
}

void check_columns(const RatingTable& table, const RatingChunk& chunk, bool has_values) {
  const auto rows = static_cast<std::size_t>(chunk.rows());
  const bool first = table.rows() == 0;
  for (const auto& [name, size, has] :
       {std::tuple{"rating", chunk.values.size(), has_values},
        {"weight", chunk.weights.size(), first ? !chunk.weights.empty() : !table.weight.empty()},
        {"timestamp", chunk.timestamps.size(),
         first ? !chunk.timestamps.empty() : !table.timestamp.empty()}})
    expect(
        size == (has ? rows : 0), ErrorKind::data,
        "row {}: the {} column is there for some rows only; all files must have the same columns",
        chunk.first_row, name);
  require(chunk.items.size() == chunk.rows(), "chunk with {} users and {} items", chunk.rows(),
          chunk.items.size());
}

// Codes in the order of appearance -> rows of the sorted vocabulary.
Vocabulary sort_codes(const IdCodes& codes, std::vector<std::int32_t>& column, int threads,
                      ThreadPool& pool) {
  Vocabulary vocabulary(codes.ids());
  const std::vector<std::int32_t> row = vocabulary.encode(codes.ids(), threads);
  pool.parallel_for(static_cast<std::int64_t>(column.size()), kGrain,
                    [&](auto first, auto last, int) {
                      for (auto r = first; r < last; ++r) {
                        std::int32_t& code = column[static_cast<std::size_t>(r)];
                        code = row[static_cast<std::size_t>(code)];
                      }
                    });
  return vocabulary;
}

}  // namespace

RatingTable read_rating_table(RatingStream& stream, int threads, bool keep_timestamps) {
  RatingTable table;
  RatingChunk chunk;
  IdCodes users, items;
  ThreadPool pool(threads);
  bool has_values = true;
  while (stream.next(chunk)) {
    if (chunk.rows() == 0) continue;
    if (!keep_timestamps) chunk.timestamps.clear();
    if (table.rows() == 0) {
      has_values = !chunk.values.empty();
      // Memory that is set aside but not written costs nothing; growing would copy the table.
      const auto rows = static_cast<std::size_t>(stream.row_estimate() * 5 / 4 + chunk.rows());
      table.user.reserve(rows);
      table.item.reserve(rows);
      table.value.reserve(rows);
      if (!chunk.weights.empty()) table.weight.reserve(rows);
      if (!chunk.timestamps.empty()) table.timestamp.reserve(rows);
    }
    check_columns(table, chunk, has_values);
    const auto before = static_cast<std::size_t>(table.rows());
    const std::size_t after = before + static_cast<std::size_t>(chunk.rows());
    pool.parallel_for(2, 1, [&](auto first, auto last, int) {
      for (auto column = first; column < last; ++column) {
        auto& codes = column == 0 ? table.user : table.item;
        codes.resize(after);
        (column == 0 ? users : items)
            .add_all(column == 0 ? chunk.users : chunk.items, codes.data() + before);
      }
    });
    append(table.value, chunk.values);
    table.value.resize(after, 1.0f);
    append(table.weight, chunk.weights);
    append(table.timestamp, chunk.timestamps);
  }
  table.users = sort_codes(users, table.user, threads, pool);
  table.items = sort_codes(items, table.item, threads, pool);
  return table;
}

RatingTable recode(RatingTable table, const Vocabulary& users, const Vocabulary& items,
                   int threads) {
  const std::vector<std::int32_t> user = users.encode(table.users.ids(), threads);
  const std::vector<std::int32_t> item = items.encode(table.items.ids(), threads);
  for (std::int32_t& u : table.user) u = u < 0 ? -1 : user[static_cast<std::size_t>(u)];
  for (std::int32_t& i : table.item) i = i < 0 ? -1 : item[static_cast<std::size_t>(i)];
  table.users = users;
  table.items = items;
  return table;
}

void keep_rows(RatingTable& table, std::span<const std::int64_t> rows) {
  const auto keep = [&](auto& column) {
    if (column.empty()) return;
    std::size_t to = 0;
    for (const std::int64_t row : rows) column[to++] = column[static_cast<std::size_t>(row)];
    column.resize(to);
  };
  keep(table.user);
  keep(table.item);
  keep(table.value);
  keep(table.weight);
  keep(table.timestamp);
}

RatingTable select_rows(const RatingTable& table, std::span<const std::int64_t> rows) {
  RatingTable selected;
  selected.users = table.users;
  selected.items = table.items;
  const auto take = [&](const auto& from, auto& to) {
    if (from.empty()) return;
    to.reserve(rows.size());
    for (const std::int64_t r : rows) to.push_back(from[static_cast<std::size_t>(r)]);
  };
  take(table.user, selected.user);
  take(table.item, selected.item);
  take(table.value, selected.value);
  take(table.weight, selected.weight);
  take(table.timestamp, selected.timestamp);
  return selected;
}

}  // namespace gradmill
