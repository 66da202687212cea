#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "data/text_parse.h"
#include "data/vocabulary.h"
#include "runtime/error.h"
#include "tests/data/text_files.h"
#include "tests/support/shared_data.h"

namespace gradmill {
namespace {

using testing::all_rows;
using testing::gzipped;
using testing::read_text;
using testing::Row;
using testing::TemporaryFolder;
using Rows = std::vector<Row>;

class TextRatings : public ::testing::Test {
 protected:
  Rows read(const std::string& text, const RatingReadOptions& options = {}) const {
    return read_text({folder_.write("ratings.csv", text)}, options);
  }
  // The error's message, without the folder.
  std::string error(const std::string& text, const RatingReadOptions& options = {},
                    ErrorKind kind = ErrorKind::data) const {
    const std::string path = folder_.write("ratings.csv", text);
    try {
      read_text({path}, options);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), kind) << e.what();
      const std::string what = e.what();
      EXPECT_EQ(what.find(path), what.rfind(path)) << what;
      return what.starts_with(path) ? what.substr(path.size()) : what;
    }
    ADD_FAILURE() << "no error for " << text;
    return "";
  }
  TemporaryFolder folder_;
};

TEST_F(TextRatings, Delimiters) {
  const Rows want{{"1", "2", 3.5f}, {"4", "5", -6}};
  for (const std::string d : {",", ";", "\t", "|", "::", " "}) {
    EXPECT_EQ(read("1" + d + "2" + d + "3.5\n4" + d + "5" + d + "-6\n"), want) << d;
    EXPECT_EQ(read("\xEF\xBB\xBF"
                   "1" +
                   d + "2" + d + "3.5\r\n\r\n4" + d + "5" + d + "-6"),
              want)
        << d;
  }
  RatingReadOptions options;
  options.delimiter = "<>";
  EXPECT_EQ(read("1<>2<>3.5\n4<>5<>-6\n", options), want);
  EXPECT_NE(error("1<>2<>3.5\n4<>5<>-6<", options).find(":2:7: rating"), std::string::npos);
  EXPECT_EQ(read(" 1 ,2 , 3.5\n4, 5,\t-6 \n"), want);
}

TEST_F(TextRatings, ColumnsByName) {
  const Rows want{{"1", "2", 3, 1, 9}};
  EXPECT_EQ(read("userId,movieId,rating,timestamp\n1,2,3,9\n"), want);
  EXPECT_EQ(read("ts,score,title,item_id,user\n9,3,\"a, b\nc\",2,1\n"), want);
  EXPECT_EQ(read("USER_ID\tartistID\tweight\n1\t2\t3\n"), (Rows{{"1", "2", 3}}));
  EXPECT_EQ(read("user,item,rating,weight\n1,2,3,0.5\n"), (Rows{{"1", "2", 3, 0.5f}}));
  EXPECT_EQ(read("user,item\n1,2\n"), (Rows{{"1", "2"}}));
  EXPECT_EQ(read("user,item,time\n1,2,9\n"), (Rows{{"1", "2", 1, 1, 9}}));
  RatingReadOptions options;
  options.columns = {"who", "what", "much", "", ""};
  EXPECT_EQ(read("much,what,who\n3,2,1\n", options), (Rows{{"1", "2", 3}}));
}

TEST_F(TextRatings, ColumnsByPosition) {
  EXPECT_EQ(read("1,2,3,9\n"), (Rows{{"1", "2", 3, 1, 9}}));
  EXPECT_EQ(read("1,2\n"), (Rows{{"1", "2"}}));
  EXPECT_EQ(read("1,2,3,x\n"), (Rows{{"1", "2", 3}}));
  EXPECT_EQ(read("foo,bar,baz\n1,2,3\n"), (Rows{{"1", "2", 3}}));
  RatingReadOptions options;
  options.columns = {"4", "3", "1", "2", "-"};
  EXPECT_EQ(read("3,0.5,2,1\n", options), (Rows{{"1", "2", 3, 0.5f}}));
  options.columns = {};
  options.has_values = false;
  EXPECT_EQ(read("1,2,3,9\n", options), (Rows{{"1", "2", 1, 1, 9}}));
  options = {};
  options.header = RatingReadOptions::Header::yes;
  EXPECT_EQ(read("7,8,9\n1,2,3\n", options), (Rows{{"1", "2", 3}}));
  options.header = RatingReadOptions::Header::no;
  EXPECT_EQ(error("a,b,c\n1,2,3\n", options),
            ":1:5: rating (column 3) is \"c\"; expected a finite number");
}

TEST_F(TextRatings, Values) {
  const std::vector<std::pair<std::string, float>> values{{"3", 3},
                                                          {"3.", 3},
                                                          {".5", .5f},
                                                          {"-.5", -.5f},
                                                          {"+4.25", 4.25f},
                                                          {"1e2", 100},
                                                          {"1E-2", .01f},
                                                          {"16777217", 16777217.f},
                                                          {"0.1", .1f},
                                                          {"3.4e38", 3.4e38f},
                                                          {"1e-44", 1e-44f},
                                                          {"1e-60", 0},
                                                          {"123456.7", 123456.7f},
                                                          {"0.0000001", 1e-7f},
                                                          {"4.3499999999999999", 4.35f}};
  for (const auto& [text, value] : values)
    EXPECT_EQ(read("1,2," + text + "\n"), (Rows{{"1", "2", value}})) << text;
  for (const std::string text : {"nan", "inf", "-inf", "1e39", "1e400", "0x10", "1,5", "", "1e",
                                 "--1", "+-1", "+", ".", "3 4", "\"3\"x"})
    EXPECT_NE(error("1,2,1\n1,2," + text + "\n"), "") << text;
}

TEST(TextParse, ShortDecimalsRoundAsStrtofDoes) {
  std::mt19937 rng(3);
  TextLayout layout;
  layout.roles = {RatingRole::user, RatingRole::item, RatingRole::value};
  std::string text;
  std::vector<float> want;
  for (int i = 0; i < 20000; ++i) {
    std::string number = std::to_string(rng() % 10000000);
    number.insert(rng() % (number.size() + 1), 1, '.');
    want.push_back(std::strtof(number.c_str(), nullptr));
    text += "1,2," + number + "\n";
  }
  ParsedText parsed;
  parse_rating_text(text, layout, {}, parsed);
  EXPECT_EQ(parsed.bad, 0);
  EXPECT_EQ(parsed.chunk.values, want);
}

TEST_F(TextRatings, Timestamps) {
  for (const auto& [text, time] : std::vector<std::pair<std::string, std::int64_t>>{
           {"0", 0},
           {"-5", -5},
           {"978300760.0", 978300760},
           {"978300760.75", 978300760},
           {"+3", 3},
           {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
           {"007", 7}})
    EXPECT_EQ(read("1,2,3,0\n1,2,3," + text + "\n")[1].timestamp, time) << text;
  for (const std::string text : {"9223372036854775808", "2020-01-01", "", "1e9", "1.x"})
    EXPECT_NE(error("1,2,3,0\n1,2,3," + text + "\n"), "") << text;
}

TEST_F(TextRatings, AnIdIsANumberIfItIsWrittenAsOne) {
  RatingChunk chunk;
  auto stream = open_text_ratings({folder_.write("a", "1,-2,3\n0,9223372036854775807,3\n")}, {});
  ASSERT_TRUE(stream->next(chunk));
  EXPECT_EQ(chunk.users.kind, IdColumn::Kind::i64);
  EXPECT_EQ(chunk.items.numbers,
            (std::vector<std::int64_t>{-2, std::numeric_limits<std::int64_t>::max()}));
  for (const std::string id : {"007", "+7", "-0", "9223372036854775808", "x", "1.0", "7a", "ä"}) {
    stream = open_text_ratings({folder_.write("a", "5,1,3\n" + id + ",1,3\n5,1,3\n")}, {});
    ASSERT_TRUE(stream->next(chunk));
    ASSERT_EQ(chunk.users.kind, IdColumn::Kind::string);
    EXPECT_EQ(chunk.users.text(1), id);
    EXPECT_EQ(chunk.users.text(2), "5");
    EXPECT_EQ(chunk.items.kind, IdColumn::Kind::i64);
  }
  RatingReadOptions options;
  options.text_ids = true;
  stream = open_text_ratings({folder_.write("a", "1,2,3\n")}, options);
  ASSERT_TRUE(stream->next(chunk));
  EXPECT_EQ(chunk.items.kind, IdColumn::Kind::string);
}

TEST_F(TextRatings, Errors) {
  EXPECT_EQ(error(""), ": no rows; expected lines of user, item and rating");
  EXPECT_EQ(error("\n \n\r\n"), ": no rows; expected lines of user, item and rating");
  EXPECT_EQ(error("user,item,rating\n"), ": no rows; expected lines of user, item and rating");
  EXPECT_EQ(error("1,2,3\n1,2\n"), ":2:1: 2 fields; expected 3 as in the first line");
  EXPECT_EQ(error("1,2,3\n\n12,,3\n"), ":3:4: item (column 2) is empty; expected an id");
  EXPECT_EQ(error("1,2,3\n12,\"a\nb\",x\n"),
            ":3:4: rating (column 3) is \"x\"; expected a finite number");
  EXPECT_EQ(error("user,item,rating\n1,2,nan\n"),
            ":2:5: rating (column 3) is \"nan\"; expected a finite number");
  EXPECT_EQ(error("user,item,rating,weight\n1,2,3,-1\n"),
            ":2:7: weight (column 4) is \"-1\"; expected a finite number of at least 0");
  EXPECT_EQ(error("1,2,3\n1,\xFF,3\n"),
            ":2:3: item (column 2) is \"?\"; expected UTF-8 text without zero bytes");
  EXPECT_EQ(
      error("1,2,3\n1,\"2\"2,3\n"),
      ":2:3: column 2 has text behind its closing quote; expected the delimiter (a quote inside "
      "quotes is written twice)");
  EXPECT_EQ(error("user,title,rating\n1,2,3\n"),
            ":1: no item was found; name it; there are: user, title, rating");
  EXPECT_EQ(error("user,item,liked\n1,2,3\n"),
            ":1: no rating was found; name it, or '-' if every row is an interaction; there are: "
            "user, item, liked");
  RatingReadOptions options;
  options.columns.user = "who";
  EXPECT_EQ(error("user,item,rating\n1,2,3\n", options),
            ":1: there is no \"who\" for the user; there are: user, item, rating");
  options.columns.user = "5";
  EXPECT_EQ(error("1,2,3\n", options), ":1: there is no \"5\" for the user; there are: 1, 2, 3");
  options.columns.user = "2";
  EXPECT_EQ(error("1,2,3\n", options), ":1: column 2 cannot be both user and item");
  EXPECT_NE(error("12\n13\n").find("a line of one field"), std::string::npos);
  EXPECT_NE(error(std::string("\xFF\xFE"
                              "1\0",
                              4))
                .find("UTF-16"),
            std::string::npos);
  EXPECT_NE(error("1,2,3\r4,5,6\r").find("CR only"), std::string::npos);
  EXPECT_NE(error("1,2,3\n1,\"2,3\n4,5,6\n").find(":2: a quote that is opened"), std::string::npos);
}

TEST_F(TextRatings, LongLines) {
  const std::string lines(100, '\n'), id(kMaxLineBytes - 4, 'x');
  EXPECT_EQ(read("1,2,3\n" + id + ",2,3\n").size(), 2u);
  for (const std::int64_t chunk_rows : {1, 1 << 18})
    for (const BadRecords bad : {BadRecords::fail, BadRecords::skip}) {
      RatingReadOptions options;
      options.bad_records = bad;
      options.chunk_rows = chunk_rows;
      EXPECT_NE(error("1,2,3\n" + lines + id + "xx,2,3\n1,2,3\n", options).find(":102:"),
                std::string::npos);
      EXPECT_NE(error("1,2,3\n1,x,\"" + id + id, options).find(":2: the record is longer"),
                std::string::npos);
    }
  EXPECT_NE(error(id + id).find("the first line is longer"), std::string::npos);
}

TEST_F(TextRatings, FilesThatCannotBeOpened) {
  const auto kind_of = [](const std::string& path) {
    try {
      read_text({path});
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(path), std::string::npos);
      return e.kind();
    }
    return ErrorKind::internal;
  };
  EXPECT_EQ(kind_of(folder_ / "nothing.csv"), ErrorKind::input_missing);
  std::filesystem::create_directory(folder_ / "folder");
  EXPECT_EQ(kind_of(folder_ / "folder"), ErrorKind::input_missing);
}

TEST_F(TextRatings, BadRecordsAreCounted) {
  std::string text = "user,item,rating\n";
  for (int i = 0; i < 40; ++i) text += "1,2,3\n1,2,nan\n1,2\n1,,4\n1,2,1e99\n";
  RatingReadOptions options;
  options.bad_records = BadRecords::skip;
  for (const int threads : {1, 3})
    for (const std::int64_t chunk_rows : {1, 7, 1000}) {
      options.threads = threads;
      options.chunk_rows = chunk_rows;
      const auto stream = open_text_ratings({folder_.write("a", text)}, options);
      EXPECT_EQ(all_rows(*stream).size(), 40u);
      const ReadReport& report = stream->report();
      EXPECT_EQ(report.rows, 40);
      EXPECT_EQ(report.skipped, 160);
      EXPECT_EQ(report.skipped_by, (std::array<std::int64_t, 4>{40, 40, 40, 40}));
      ASSERT_EQ(report.examples.size(), 10u);
      EXPECT_EQ(report.examples[9],
                (folder_ / "a") + ":14:1: 2 fields; expected 3 as in the first line");
    }
  EXPECT_NE(error("user,item,rating\n1,2,x\n", options).find("all 1 records are bad"),
            std::string::npos);
}

TEST_F(TextRatings, LinesOfErrorsInLaterParts) {
  std::string text;
  for (int line = 1; line <= 1000; ++line) text += line == 900 ? "1,2,oops\n" : "1,2,3\n";
  for (const std::string& bytes : {text, gzipped(text)}) {
    RatingReadOptions options;
    options.chunk_rows = 10;
    options.part = 2;
    options.parts = 3;
    EXPECT_EQ(error(bytes, options),
              ":900:5: rating (column 3) is \"oops\"; expected a finite number");
  }
}

TEST_F(TextRatings, TheFirstErrorIsReportedHoweverManyThreads) {
  for (const int threads : {1, 2, 3, 8}) {
    RatingReadOptions options;
    options.threads = threads;
    options.chunk_rows = 1;
    EXPECT_EQ(error("1,2,3\n1,2,x\n1,2,3\n1,\"2,3\n", options),
              ":2:5: rating (column 3) is \"x\"; expected a finite number");
    options.bad_records = BadRecords::skip;
    EXPECT_NE(error("1,2,3\n1,2,x\n1,2,3\n1,\"2,3\n", options).find(":4: a quote"),
              std::string::npos);
  }
}

TEST_F(TextRatings, SeveralFiles) {
  const auto a = folder_.write("a", "user,item,rating\n1,2,3\n"), b = folder_.write("b", "4\t5\t6"),
             none = folder_.write("c", "");
  EXPECT_EQ(read_text({a, none, b}), (Rows{{"1", "2", 3}, {"4", "5", 6}}));
  EXPECT_THROW(read_text({a, folder_.write("d", "1,2\n")}), Error);
  EXPECT_THROW(read_text({a, folder_.write("d", "1,2,3,4\n")}), Error);
}

TEST_F(TextRatings, Gzip) {
  const std::string text = "1,2,3\n4,5,6\n", packed = gzipped(text);
  const Rows once{{"1", "2", 3}, {"4", "5", 6}}, twice{once[0], once[1], once[0], once[1]};
  EXPECT_EQ(read(packed), once);
  EXPECT_EQ(read(packed + packed), twice);
  EXPECT_EQ(read(packed + std::string(700, '\0')), once);
  EXPECT_NE(error(packed + "junk").find("follow the gzip data"), std::string::npos);
  for (std::size_t cut = 2; cut < packed.size(); ++cut)
    EXPECT_NE(error(packed.substr(0, cut)).find("ends after " + std::to_string(cut) + " bytes"),
              std::string::npos);
  std::string damaged = packed;
  damaged[packed.size() - 6] ^= 1;  // the check sum
  EXPECT_NE(error(damaged).find("damaged gzip data"), std::string::npos);
}

TEST_F(TextRatings, Lists) {
  RatingReadOptions options;
  options.layout = RatingReadOptions::Layout::lists;
  EXPECT_EQ(read("1 2 3\n4\n\n5 6\r\n7 8", options),
            (Rows{{"1", "2"}, {"1", "3"}, {"5", "6"}, {"7", "8"}}));
  EXPECT_EQ(read("1 2 3 \n 4  b 5\n", options),
            (Rows{{"1", "2"}, {"1", "3"}, {"4", "b"}, {"4", "5"}}));
  EXPECT_NE(error("4\n5\n", options).find("no rows"), std::string::npos);
  options.delimiter = ",";
  EXPECT_EQ(read("1,2,3\n", options), (Rows{{"1", "2"}, {"1", "3"}}));
  EXPECT_EQ(error("1,,3\n", options), ":1:3: item (column 2) is empty; expected an id");
}

// A random table, written in a random way.
struct RandomText {
  std::string text;
  Rows rows;
};

RandomText random_text(std::mt19937& rng, const std::string& delimiter, bool strings) {
  RandomText r;
  const auto newline = [&] { return rng() % 4 ? "\n" : "\r\n"; };
  const bool header = rng() % 2;
  if (header)
    r.text += "user" + delimiter + "note" + delimiter + "item" + delimiter + "rating" + newline();
  const auto field = [&](const std::string& value) {
    if (rng() % 3) {
      const bool needed = value.find_first_of("\"\n\r" + delimiter + " ") != std::string::npos;
      if (!needed) return value;
    }
    std::string out = "\"";
    for (const char c : value) out += c == '"' ? "\"\"" : std::string(1, c);
    return out + "\"";
  };
  const auto id = [&]() -> std::string {
    if (!strings || rng() % 2) return std::to_string(rng() % 1000);
    const std::vector<std::string> ids{
        "a", "b\"c", "d\ne", "f,g", "::", "\xC3\xA4", "\r\n", "007", "x y"};
    return ids[rng() % ids.size()];
  };
  const auto rows = rng() % 60 + 1;
  for (std::size_t i = 0; i < rows; ++i) {
    const Row row{id(), id(), static_cast<float>(rng() % 20) / 4};
    char value[16];
    std::snprintf(value, sizeof value, "%g", static_cast<double>(row.value));
    r.text += field(row.user) + delimiter + field(strings ? id() : "n") + delimiter +
              field(row.item) + delimiter + field(value);
    if (i + 1 < rows || rng() % 2) r.text += newline();
    if (i + 1 < rows && rng() % 10 == 0) r.text += newline();
    r.rows.push_back(row);
  }
  return r;
}

TEST_F(TextRatings, EveryRowOnceOverAllPartsThreadsAndChunks) {
  std::mt19937 rng(11);
  for (int round = 0; round < 60; ++round) {
    const std::string delimiter = round % 3 == 0 ? "::" : round % 3 == 1 ? "," : "\t";
    const RandomText random = random_text(rng, delimiter, round % 2);
    const bool packed = round % 5 == 0;
    const std::string path = folder_.write("r", packed ? gzipped(random.text) : random.text);
    for (int parts = 1; parts <= 7; ++parts) {
      RatingReadOptions options;
      options.columns = {"1", "3", "4", "", ""};
      options.delimiter = delimiter;
      options.parts = parts;
      options.threads = 1 + static_cast<int>(rng() % 3);
      options.chunk_rows = std::vector<int>{1, 2, 5, 17, 1000}[rng() % 5];
      if (random.text.find('"') == std::string::npos) options.quotes = rng() % 2;
      Rows rows;
      for (options.part = 0; options.part < parts; ++options.part)
        for (Row& row : read_text({path}, options)) rows.push_back(row);
      ASSERT_EQ(rows, random.rows) << parts << " parts, chunks of " << options.chunk_rows << "\n"
                                   << random.text;
    }
  }
}

TEST_F(TextRatings, MalformedFilesEndInRowsOrAnError) {
  const auto folder = testing::shared_data("malformed-csv");
  if (!folder) GTEST_SKIP() << "malformed-csv is not here";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    for (const BadRecords bad : {BadRecords::fail, BadRecords::skip})
      for (const auto layout : {RatingReadOptions::Layout::rows, RatingReadOptions::Layout::lists})
        for (const bool quotes : {true, false}) {
          RatingReadOptions options;
          options.bad_records = bad;
          options.layout = layout;
          options.quotes = quotes;
          try {
            read_text({entry.path().string()}, options);
          } catch (const Error& e) {
            EXPECT_EQ(e.kind(), ErrorKind::data) << e.what();
          }
        }
    ++files;
  }
  EXPECT_EQ(files, 6);
}

}  // namespace
}  // namespace gradmill
