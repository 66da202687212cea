#include "data/vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "runtime/error.h"
#include "tests/data/text_files.h"

namespace gradmill {
namespace {

IdColumn numbers(std::vector<std::int64_t> ids) {
  IdColumn column;
  column.numbers = std::move(ids);
  return column;
}

IdColumn strings(const std::vector<std::string>& ids) {
  IdColumn column;
  column.kind = IdColumn::Kind::string;
  for (const auto& id : ids) column.push(std::string_view(id));
  return column;
}

std::vector<std::string> texts(const Vocabulary& v) {
  std::vector<std::string> all;
  for (std::int32_t r = 0; r < v.size(); ++r) all.push_back(v.text(r));
  return all;
}

TEST(Vocabulary, IsSortedAndUnique) {
  EXPECT_EQ(texts(Vocabulary(numbers({30, -5, 4, 30}))),
            (std::vector<std::string>{"-5", "4", "30"}));
  EXPECT_EQ(texts(Vocabulary(strings({"b", "", "a", "b", "ab"}))),
            (std::vector<std::string>{"", "a", "ab", "b"}));
  EXPECT_EQ(Vocabulary().size(), 0);
  EXPECT_EQ(Vocabulary().find(std::int64_t{3}), -1);
  EXPECT_EQ(Vocabulary().find("x"), -1);
}

TEST(Vocabulary, FindsNumbersAndTheirText) {
  const Vocabulary v(numbers({30, -5, 4}));
  EXPECT_EQ(v.find(std::int64_t{30}), 2);
  EXPECT_EQ(v.find("30"), 2);
  EXPECT_EQ(v.find("-5"), 0);
  EXPECT_EQ(v.find("030"), -1);
  EXPECT_EQ(v.find("x"), -1);
  EXPECT_EQ(v.find(std::int64_t{31}), -1);
  const Vocabulary s(strings({"30", "x"}));
  EXPECT_EQ(s.find(std::int64_t{30}), 0);
  EXPECT_EQ(s.find(std::int64_t{3}), -1);
  EXPECT_EQ(s.find("x"), 1);
}

std::vector<std::int64_t> random_numbers(std::size_t count, int kind, std::mt19937_64& rng) {
  std::vector<std::int64_t> ids(count);
  for (auto& id : ids) {
    id = static_cast<std::int64_t>(rng());
    if (kind == 1) id = static_cast<std::int64_t>(rng() % (2 * count + 1));
    if (kind == 2) id = static_cast<std::int64_t>(rng() % 100) << 40;
    if (kind == 3) id = static_cast<std::int64_t>(rng() % 100) - 50;
    if (kind == 4) id = static_cast<std::int64_t>(rng() % 3 ? rng() % 1000 : rng() % 1000000);
  }
  if (count > 2)
    ids[0] = std::numeric_limits<std::int64_t>::min(),
    ids[1] = std::numeric_limits<std::int64_t>::max();
  return ids;
}

TEST(Vocabulary, EncodesAsAMapDoes) {
  std::mt19937_64 rng(5);
  for (const std::size_t count : {0, 1, 31, 32, 33, 257, 10000})
    for (int kind = 0; kind < 5; ++kind)
      for (const bool text : {false, true}) {
        const auto ids = random_numbers(count, kind, rng);
        IdColumn column = numbers(ids);
        if (text) column.make_text();
        const Vocabulary v(column);
        std::map<std::int64_t, std::int32_t> want;
        for (const auto id : ids) want[id];
        ASSERT_EQ(v.size(), static_cast<std::int64_t>(want.size()));
        for (const int threads : {1, 3}) {
          const auto rows = v.encode(column, threads);
          ASSERT_EQ(rows.size(), count);
          for (std::size_t r = 0; r < count; ++r)
            ASSERT_EQ(v.text(rows[r]), std::to_string(ids[r]));
          ASSERT_EQ(rows, v.encode(numbers(ids), threads));
        }
        for (const auto id : random_numbers(100, kind, rng)) {
          const auto row = v.find(id);
          ASSERT_EQ(row >= 0, want.count(id) == 1);
        }
        for (std::int32_t row = 1; row < v.size(); ++row) {
          const std::string before = v.text(row - 1), after = v.text(row);
          ASSERT_TRUE(text ? before < after : std::stoll(before) < std::stoll(after));
        }
      }
}

TEST(Vocabulary, Merge) {
  const std::vector<Vocabulary> same{Vocabulary(numbers({3, 1})), Vocabulary(),
                                     Vocabulary(numbers({2, 3}))};
  EXPECT_EQ(texts(Vocabulary::merge(same)), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(Vocabulary::merge(same).kind(), IdColumn::Kind::i64);
  const std::vector<Vocabulary> mixed{Vocabulary(numbers({3, 10})),
                                      Vocabulary(strings({"3", "x"}))};
  EXPECT_EQ(texts(Vocabulary::merge(mixed)), (std::vector<std::string>{"10", "3", "x"}));
  EXPECT_EQ(Vocabulary::merge({}).size(), 0);
}

TEST(Vocabulary, SerializedBytesComeBackAndDamageIsFound) {
  for (const Vocabulary& v : {Vocabulary(), Vocabulary(numbers({5, -1, 1LL << 60})),
                              Vocabulary(strings({"a", "", "\xC3\xA4"}))}) {
    const std::string bytes = v.serialize();
    const Vocabulary back = Vocabulary::deserialize(bytes);
    EXPECT_EQ(texts(back), texts(v));
    EXPECT_EQ(back.kind(), v.kind());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      EXPECT_THROW(Vocabulary::deserialize(damaged), Error);
      EXPECT_THROW(Vocabulary::deserialize(bytes.substr(0, i)), Error);
    }
  }
}

TEST(IdCodes, TextMadeOfNumbersKeepsTheCodes) {
  IdCodes codes;
  for (const std::int64_t id : {70000000, 3, -4, 3}) codes.add(id);
  EXPECT_EQ(codes.size(), 3);
  std::vector<std::int32_t> rows(3);
  codes.add_all(strings({"-4", "x", "3"}), rows.data());
  EXPECT_EQ(rows, (std::vector<std::int32_t>{2, 3, 1}));
  codes.add_all(numbers({70000000, 5, 3}), rows.data());
  EXPECT_EQ(rows, (std::vector<std::int32_t>{0, 4, 1}));
}

// Column kinds that change on the way, chunks of any size: the table is the same.
TEST(RatingTable, DoesNotDependOnChunksThreadsOrParts) {
  testing::TemporaryFolder folder;
  std::mt19937 rng(9);
  std::string text;
  std::vector<testing::Row> rows;
  for (int r = 0; r < 300; ++r) {
    const auto id = [&]() -> std::string {
      return r > 150 && rng() % 20 == 0 ? std::to_string(rng() % 10).insert(0, 1, '0')
                                        : std::to_string(rng() % 40);
    };
    rows.push_back({id(), std::to_string(rng() % 1000000), static_cast<float>(rng() % 5), 1,
                    static_cast<int>(rng() % 99)});
    text += rows.back().user + "," + rows.back().item + "," +
            std::to_string(static_cast<int>(rows.back().value)) + "," +
            std::to_string(rows.back().timestamp) + "\n";
  }
  const std::string path = folder.write("a", text);
  std::set<std::string> users;
  for (const auto& row : rows) users.insert(row.user);
  for (const std::int64_t chunk_rows : {1, 10, 1000})
    for (const int threads : {1, 2, 3}) {
      RatingReadOptions options;
      options.chunk_rows = chunk_rows;
      options.threads = threads;
      const RatingTable table = read_rating_table(*open_text_ratings({path}, options), threads);
      ASSERT_EQ(table.rows(), 300);
      EXPECT_EQ(texts(table.users), std::vector<std::string>(users.begin(), users.end()));
      EXPECT_EQ(table.items.kind(), IdColumn::Kind::i64);
      EXPECT_TRUE(
          std::is_sorted(table.items.ids().numbers.begin(), table.items.ids().numbers.end()));
      for (std::size_t r = 0; r < rows.size(); ++r) {
        const testing::Row row{table.users.text(table.user[r]), table.items.text(table.item[r]),
                               table.value[r], 1, table.timestamp[r]};
        ASSERT_EQ(row, rows[r]);
      }
    }
  std::vector<Vocabulary> parts;
  RatingReadOptions options;
  options.parts = 4;
  for (options.part = 0; options.part < 4; ++options.part)
    parts.push_back(read_rating_table(*open_text_ratings({path}, options), 1).users);
  EXPECT_EQ(parts[0].kind(), IdColumn::Kind::i64);
  EXPECT_EQ(texts(Vocabulary::merge(parts)), std::vector<std::string>(users.begin(), users.end()));
}

TEST(RatingTable, RecodeAndSelect) {
  testing::TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    return read_rating_table(*open_text_ratings({folder.write("a", text)}, {}), 1);
  };
  const RatingTable train = read("1,10,3\n2,20,4\n3,10,5\n");
  const RatingTable test = recode(read("2,10,1\n9,20,2\n3,99,3\n"), train.users, train.items, 1);
  EXPECT_EQ(test.user, (std::vector<std::int32_t>{1, -1, 2}));
  EXPECT_EQ(test.item, (std::vector<std::int32_t>{0, 1, -1}));
  EXPECT_EQ(texts(test.users), texts(train.users));
  const std::vector<std::int64_t> rows{2, 0};
  const RatingTable some = select_rows(train, rows);
  EXPECT_EQ(some.user, (std::vector<std::int32_t>{2, 0}));
  EXPECT_EQ(some.value, (std::vector<float>{5, 3}));
  EXPECT_TRUE(some.timestamp.empty());
}

}  // namespace
}  // namespace gradmill
