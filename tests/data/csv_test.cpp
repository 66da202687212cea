#include "data/csv.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/shared_data.h"

namespace gradmill {
namespace {

using Records = std::vector<std::vector<std::string>>;

Records tokenize(std::string_view text, const CsvDialect& dialect = {}) {
  CsvTokenizer tokenizer(dialect);
  std::vector<CsvField> fields;
  Records records;
  std::size_t pos = 0;
  while (tokenizer.next(text, pos, fields)) {
    auto& record = records.emplace_back();
    for (const auto& field : fields) record.emplace_back(field.text);
  }
  return records;
}

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(CsvTokenizer, Rfc4180) {
  EXPECT_EQ(tokenize(""), Records{});
  EXPECT_EQ(tokenize("\n"), (Records{{""}}));
  EXPECT_EQ(tokenize("a,b,c"), (Records{{"a", "b", "c"}}));
  EXPECT_EQ(tokenize("a,b\r\nc,d\r\n"), (Records{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(tokenize("a,,\n,,b\n"), (Records{{"a", "", ""}, {"", "", "b"}}));
  EXPECT_EQ(tokenize("\"a,b\",\"c\nd\",\"e\r\nf\"\ng,h,i"),
            (Records{{"a,b", "c\nd", "e\r\nf"}, {"g", "h", "i"}}));
  EXPECT_EQ(tokenize("\"a \"\"b\"\" c\",\"\"\"\",\"\"\n"), (Records{{"a \"b\" c", "\"", ""}}));
  EXPECT_EQ(tokenize("5\" disk,\"x\"\n"), (Records{{"5\" disk", "x"}}));
  EXPECT_EQ(tokenize(" a , \"b\"\n"), (Records{{" a ", " \"b\""}}));
}

TEST(CsvTokenizer, OtherDelimiters) {
  EXPECT_EQ(tokenize("1::2::3\n4::5:6::7", {"::", true}),
            (Records{{"1", "2", "3"}, {"4", "5:6", "7"}}));
  EXPECT_EQ(tokenize("1:::2\n", {"::", true}), (Records{{"1", ":2"}}));
  EXPECT_EQ(tokenize("1::\n::2\n:\n", {"::", true}), (Records{{"1", ""}, {"", "2"}, {":"}}));
  EXPECT_EQ(tokenize("  1  2 3 \r\n 4 5 6\n\n   \n", {" ", true}),
            (Records{{"1", "2", "3"}, {"4", "5", "6"}, {""}, {""}}));
  EXPECT_EQ(tokenize("\"a\tb\"\t\"c\n", {"\t", false}), (Records{{"\"a", "b\"", "\"c"}}));
}

TEST(CsvTokenizer, SaysWhatIsMalformed) {
  CsvTokenizer tokenizer({});
  std::vector<CsvField> fields;
  std::size_t pos = 0;
  ASSERT_TRUE(tokenizer.next("\"a\"b,c\n", pos, fields));
  EXPECT_TRUE(fields[0].malformed);
  EXPECT_FALSE(fields[1].malformed);
  pos = 0;
  ASSERT_TRUE(tokenizer.next("x,\"open\n1,2\n", pos, fields));
  EXPECT_TRUE(fields[1].malformed);
  EXPECT_EQ(pos, 12u);
}

TEST(CsvTokenizer, CsvSpectrum) {
  const auto folder = testing::shared_data("formats-csv/csv-spectrum/csvs");
  if (!folder) GTEST_SKIP() << "formats-csv is not here";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    SCOPED_TRACE(entry.path().filename().string());
    const auto json = entry.path().parent_path().parent_path() / "json" /
                      entry.path().filename().replace_extension(".json");
    const auto want = nlohmann::json::parse(file_text(json));
    const Records records = tokenize(file_text(entry.path()));
    if (want.is_object()) {  // one record, and its values are not those of the CSV file
      ASSERT_EQ(records.size(), 2u);
      for (const auto& name : records[0]) EXPECT_TRUE(want.contains(name)) << name;
      ++files;
      continue;
    }
    ASSERT_EQ(records.size(), want.size() + 1);
    for (std::size_t r = 0; r < want.size(); ++r) {
      ASSERT_EQ(records[r + 1].size(), records[0].size());
      for (std::size_t c = 0; c < records[0].size(); ++c)
        EXPECT_EQ(records[r + 1][c], want[r].at(records[0][c]).get<std::string>());
    }
    ++files;
  }
  EXPECT_EQ(files, 12);
}

// What comes in pieces has the record ends of the whole, and those are where the tokenizer stops.
TEST(CsvRecordEnds, AgreeWithTheTokenizer) {
  std::mt19937 rng(7);
  const std::vector<std::string> delimiters{",", "::", " ", "\t", "ab"};
  for (int round = 0; round < 20000; ++round) {
    const CsvDialect dialect{delimiters[rng() % delimiters.size()], rng() % 4 != 0};
    std::string text;
    const std::string alphabet = "\"\"\n\n\r:ab ," + dialect.delimiter;
    for (auto n = rng() % 40; n > 0; --n) text += alphabet[rng() % alphabet.size()];
    std::vector<std::size_t> ends;
    CsvTokenizer tokenizer(dialect);
    std::vector<CsvField> fields;
    bool open = false;  // the last record ends within quotes: it has no end
    for (std::size_t pos = 0, begin = 0; tokenizer.next(text, pos, fields); begin = pos) {
      open = fields.back().malformed && CsvRecordEnds(dialect).scan(text.substr(begin), true) == 0;
      ends.push_back(pos);
    }
    if (!ends.empty() && (open || text.back() != '\n')) ends.pop_back();

    const std::size_t stop_at = rng() % 2 ? std::string::npos : rng() % (text.size() + 1);
    std::size_t want = 0;
    for (const std::size_t end : ends)
      if (want < stop_at) want = end;
    CsvRecordEnds scanner(dialect);
    std::size_t got = 0, length = 0;
    while (length < text.size() && got < stop_at) {
      length = std::min(text.size(), length + 1 + rng() % 9);
      got = scanner.scan(std::string_view(text).substr(0, length), length == text.size(), stop_at);
    }
    ASSERT_EQ(got, want) << ::testing::PrintToString(text) << " delimiter "
                         << ::testing::PrintToString(dialect.delimiter) << " quotes "
                         << dialect.quotes << " stop at " << stop_at;
  }
}

}  // namespace
}  // namespace gradmill
