#include "launch/table_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_ids.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::text_ids;

std::string written(const std::string& name, const std::vector<TableColumn>& columns,
                    int times = 1) {
  const TemporaryFolder folder;
  const auto table = open_table(folder / name, {"user", "item", "prediction"});
  for (int i = 0; i < times; ++i) table->append(columns);
  EXPECT_FALSE(std::filesystem::exists(folder / name));
  table->finish();
  return read_bytes(folder / name);
}

TEST(TableWriter, CsvIsQuotedWhereNeeded) {
  const IdColumn users = text_ids({"anna", "a,b", "say \"hi\"", "two\nlines", "", " x", "ä"});
  IdColumn items;
  items.numbers = {1, 2, 3, 4, 5, -6, std::numeric_limits<std::int64_t>::min()};
  const std::vector<float> values{0.1f, 1, -2.5e-8f, NAN, INFINITY, 16777216, 3.4028235e38f};
  EXPECT_EQ(written("t.csv", {&users, &items, std::span<const float>(values)}),
            "user,item,prediction\n"
            "anna,1,0.1\n"
            "\"a,b\",2,1\n"
            "\"say \"\"hi\"\"\",3,-2.5e-08\n"
            "\"two\nlines\",4,\n"
            "\"\",5,\n"
            "\" x\",-6,16777216\n"
            "ä,-9223372036854775808,3.4028235e+38\n");
}

TEST(TableWriter, JsonLines) {
  const IdColumn users = text_ids({"a\"b", "\xc3\xa4\n"});
  const std::vector<double> values{0.1, NAN};
  const std::vector<std::int64_t> ranks{1, 2};
  EXPECT_EQ(written("t.jsonl", {&users, std::span<const std::int64_t>(ranks),
                                std::span<const double>(values)}),
            "{\"user\":\"a\\\"b\",\"item\":1,\"prediction\":0.1}\n{\"user\":\"\xc3\xa4\\n\","
            "\"item\":2,\"prediction\":null}\n");
}

TEST(TableWriter, RowsOfManyCallsAndNone) {
  const std::vector<float> values(1000, 0.5f);
  IdColumn ids;
  ids.numbers.assign(1000, 3);
  const std::string text = written("t.csv", {&ids, &ids, std::span<const float>(values)}, 100);
  EXPECT_EQ(text.size(), std::string("user,item,prediction\n").size() +
                             100'000 * std::string("3,3,0.5\n").size());
  const IdColumn none;
  EXPECT_EQ(written("t.csv", {&none, &none, std::span<const float>()}), "user,item,prediction\n");
}

TEST(TableWriter, Hdf5HasADataSetAColumn) {
  const TemporaryFolder folder;
  const std::string path = folder / "t.h5";
  const IdColumn users = text_ids({"anna", "\xc3\xa4", "z"});
  IdColumn items;
  items.numbers = {1, -2, std::int64_t{1} << 40};
  const std::vector<float> values{0.5f, 1, 2};
  const auto table = open_table(path, {"user", "item", "prediction"});
  for (int i = 0; i < 2; ++i) table->append({&users, &items, std::span<const float>(values)});
  EXPECT_FALSE(std::filesystem::exists(path));
  table->finish();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);

  RatingReadOptions options;
  options.columns = {"user", "item", "prediction", "", ""};
  const auto stream = open_hdf5_ratings({path}, options);
  RatingChunk chunk;
  std::int64_t rows = 0;
  while (stream->next(chunk)) {
    for (std::int64_t r = 0; r < chunk.rows(); ++r, ++rows) {
      const auto i = static_cast<std::size_t>(r), of = static_cast<std::size_t>(rows % 3);
      EXPECT_EQ(chunk.users.text(r), users.text(rows % 3));
      EXPECT_EQ(chunk.items.numbers[i], items.numbers[of]);
      EXPECT_EQ(chunk.values[i], values[of]);
    }
  }
  EXPECT_EQ(rows, 6);

  { open_table(path, {"a"})->append({&items}); }  // without finish() the old one stays
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  const IdColumn bad = text_ids({"\xff"});
  EXPECT_EQ(error_of([&] { open_table(path, {"a"})->append({&bad}); }).kind(), ErrorKind::data);
  EXPECT_EQ(error_of([&] { open_table(folder / "no/t.h5", {"a"})->append({&items}); }).kind(),
            ErrorKind::cannot_write);
}

TEST(TableWriter, RefusesWhatItCannotWrite) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { open_table(folder / "t.xlsx", {"a"}); }).kind(), ErrorKind::usage);
  EXPECT_EQ(error_of([&] { open_table(folder / "no/t.csv", {"a"}); }).kind(),
            ErrorKind::cannot_write);
  const auto table = open_table(folder / "t.jsonl", {"a"});
  const IdColumn bad = text_ids({"\xff"});
  EXPECT_EQ(error_of([&] { table->append({&bad}); }).kind(), ErrorKind::data);
  EXPECT_EQ(error_of([&] { table->append({&bad, &bad}); }).kind(), ErrorKind::internal);
}

}  // namespace
}  // namespace gradmill
