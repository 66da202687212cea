// Records of all formats: columns, kinds, missing values, parts, threads, bad records.
#include "data/record_stream.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <random>

#include "data/json_line.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"
#include "tests/data/record_rows.h"
#include "tests/data/text_files.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::gzipped;
using testing::names_and_kinds;
using testing::read;
using testing::read_all;
using testing::Rows;
using testing::TemporaryFolder;

TEST(RecordStream, HeaderKindsAndMissingValuesAreFound) {
  TemporaryFolder folder;
  const auto path = folder.write(
      "a.csv", "name,age,city\nAnn,31,\"Paris, France\"\nBob,?,NA\n\"say \"\"hi\"\"\",4.5e1,x\n\n");
  const auto stream = open_records(path, {});
  EXPECT_EQ(names_and_kinds(*stream), "name:t age:n city:t ");
  EXPECT_EQ(read_all(*stream),
            (Rows{{"Ann", "31", "Paris, France"}, {"Bob", "-", "-"}, {"say \"hi\"", "45", "x"}}));
}

TEST(RecordStream, WithoutAHeaderColumnsAreCalledByPosition) {
  TemporaryFolder folder;
  const auto stream =
      open_records(folder.write("a.data", "39, State-gov, <=50K.\n5, ?, >50K.\n"), {});
  EXPECT_EQ(names_and_kinds(*stream), "1:n 2:t 3:t ");
  EXPECT_EQ(read_all(*stream), (Rows{{"39", "State-gov", "<=50K."}, {"5", "-", ">50K."}}));
}

TEST(RecordStream, ColumnsCanBeChosenTwiceStrippedAndKeptWithBlanks) {
  TemporaryFolder folder;
  RecordReadOptions options;
  options.quotes = false;
  ColumnSpec blanks{"text", ColumnKind::text}, label{"y", ColumnKind::text};
  blanks.keep_blanks = true;
  label.strip = ".";
  options.columns = {label, blanks, {"text", ColumnKind::text}, {"3", ColumnKind::text}};
  const auto path = folder.write("a.tsv", "y\ttext\tn\r\nno..\t  \"a b\" \t007\r\nyes\tc\t1\r\n");
  EXPECT_EQ(read(path, options),
            (Rows{{"no", "  \"a b\" ", "\"a b\"", "007"}, {"yes", "c", "c", "1"}}));
}

TEST(RecordStream, BadRecordsAreNamedOrCounted) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "y,x\n1,2\n3\n4,abc\n5,1e400\n6,inf\n7,8\n");
  RecordReadOptions options;
  options.columns = {{"x", ColumnKind::number}};
  EXPECT_EQ(std::string(error_of([&] { read(path, options); }).what()),
            path + ":3:1: 1 fields; expected 2 as in the first line");
  options.bad_records = BadRecords::skip;
  const auto stream = open_records(path, options);
  EXPECT_EQ(read_all(*stream), (Rows{{"2"}, {"8"}}));
  EXPECT_EQ(stream->report().skipped, 4);
  EXPECT_EQ(stream->report().examples.at(1),
            path +
                ":4:3: column \"x\" is \"abc\"; expected a number (in a categorical or hashed "
                "column any text may stand)");
  EXPECT_EQ(stream->report().skipped_by, (std::array<std::int64_t, 4>{2, 0, 1, 1}));
}

TEST(RecordStream, RequiredAllowedAndNonNegativeValues) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "label,w\na,1\n,1\nc,1\nb,-1\nb,0\n");
  ColumnSpec label{"label", ColumnKind::text}, weight{"w", ColumnKind::number};
  label.required = weight.required = weight.non_negative = true;
  label.allowed = {"a", "b"};
  RecordReadOptions options;
  options.columns = {label, weight};
  options.bad_records = BadRecords::skip;
  const auto stream = open_records(path, options);
  EXPECT_EQ(read_all(*stream), (Rows{{"a", "1"}, {"b", "0"}}));
  ASSERT_EQ(stream->report().examples.size(), 3u);
  EXPECT_EQ(stream->report().examples[0],
            path + ":3:1: column \"label\" is missing; expected a text");
  EXPECT_EQ(stream->report().examples[1],
            path + ":4:1: column \"label\" is \"c\"; expected one of a, b");
  EXPECT_EQ(stream->report().examples[2],
            path + ":5:3: column \"w\" is \"-1\"; expected a number of at least 0");
}

TEST(RecordStream, UnknownAndAmbiguousColumns) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "y,x,x\n1,2,3\n");
  RecordReadOptions options;
  options.columns = {{"z"}};
  EXPECT_EQ(std::string(error_of([&] { read(path, options); }).what()),
            path + ":1: there is no column \"z\"; there are: y, x, x");
  options.columns = {{"x"}};
  EXPECT_THROW(read(path, options), Error);
  options.columns = {{"3"}};
  EXPECT_EQ(read(path, options), (Rows{{"3"}}));
}

/// Random CSV records with quotes, newlines, CRLF and missing values.
std::string random_csv(std::uint32_t seed, int rows, std::string& last) {
  std::mt19937 random(seed);
  std::string text = "label,num,txt\n";
  for (int r = 0; r < rows; ++r) {
    const auto pick = random() % 5;
    last = pick == 0   ? "\"a,\"\"b\"\"\nc\""
           : pick == 1 ? "?"
           : pick == 2 ? "plain text"
           : pick == 3 ? "\xC3\xA9t\xC3\xA9"
                       : "\"q\"";
    text += std::to_string(random() % 2) + "," +
            (random() % 7 ? std::to_string(static_cast<int>(random() % 2000) - 1000) + ".25" : "") +
            "," + last + (random() % 2 ? "\r\n" : "\n");
  }
  return text;
}

TEST(RecordStream, ThreadsPartsAndChunksGiveTheSameRecords) {
  TemporaryFolder folder;
  for (const int rows : {1, 31, 32, 33, 257, 3000}) {
    std::string last;
    const std::string text = random_csv(static_cast<std::uint32_t>(rows), rows, last);
    const auto plain = folder.write("a.csv", text),
               packed = folder.write("b.csv.gz", gzipped(text));
    const Rows want = read(plain);
    ASSERT_EQ(want.size(), static_cast<std::size_t>(rows));
    for (const auto& path : {plain, packed})
      for (const int threads : {1, 3})
        for (const int parts : {1, 2, 5}) {
          Rows got;
          for (int part = 0; part < parts; ++part) {
            RecordReadOptions options;
            options.threads = threads;
            options.part = part;
            options.parts = parts;
            options.chunk_rows = 100;
            const Rows rows_of_part = read(path, options);
            got.insert(got.end(), rows_of_part.begin(), rows_of_part.end());
          }
          EXPECT_EQ(got, want) << path << ", threads " << threads << ", parts " << parts;
        }
  }
}

TEST(RecordStream, JsonLines) {
  TemporaryFolder folder;
  const auto path = folder.write(
      "a.jsonl",
      "{\"a\": 1, \"b\": \"x\\n\\u00e9\\ud83d\\ude00\", \"deep\": {\"c\": [1, \"]\"]}}\n\n"
      " { \"b\" : null , \"a\" : -2.5e-1 }\r\n{\"b\": \"\", \"c\": true}\n{\"a\": NaN}");
  const auto stream = open_records(path, {});
  EXPECT_EQ(names_and_kinds(*stream), "a:n b:t c:n ");
  EXPECT_EQ(read_all(*stream), (Rows{{"1", "x\n\xC3\xA9\xF0\x9F\x98\x80", "-"},
                                     {"-0.25", "-", "-"},
                                     {"-", "-", "1"},
                                     {"-", "-", "-"}}));
}

TEST(RecordStream, BadJsonLines) {
  TemporaryFolder folder;
  const auto path = folder.write("a.jsonl",
                                 "{\"a\": 1}\n{\"a\": \"x\"}\n{\"a\": [1]}\n{\"a\": 1, \"a\": 2}\n"
                                 "{\"a\": 01}\n[1]\n{\"a\": 1} x\n{\"a\": 1e999}\n{\"a\": 2}\n"
                                 "{\"a\": \"\\ud800\"}\n{\"a\": 3,}\n{\"a\"");
  RecordReadOptions options;
  options.bad_records = BadRecords::skip;
  options.columns = {{"a", ColumnKind::number}};
  const auto stream = open_records(path, options);
  EXPECT_EQ(read_all(*stream), (Rows{{"1"}, {"2"}}));
  EXPECT_EQ(stream->report().skipped, 10);
  EXPECT_EQ(stream->report().examples.at(0),
            path +
                ":2:7: column \"a\" is \"x\"; expected a number (in a categorical or hashed "
                "column any text may stand)");
  EXPECT_EQ(stream->report().examples.at(4), path + ":6:1: expected an object {…} on each line");
}

TEST(RecordStream, JsonNumbersAsTextKeepTheirDigits) {
  TemporaryFolder folder;
  RecordReadOptions options;
  options.columns = {{"zip", ColumnKind::text}};
  EXPECT_EQ(read(folder.write("a.ndjson", "{\"zip\": 1.50}\n{\"zip\": false}\n"), options),
            (Rows{{"1.50"}, {"false"}}));
}

TEST(RecordStream, TfRecords) {
  TemporaryFolder folder;
  ExampleWriter writer;
  std::string bytes;
  for (int r = 0; r < 5; ++r) {
    writer.add_int64("n", r);
    if (r != 2) writer.add_float("f", static_cast<float>(r) / 2);
    writer.add_bytes("t", r == 3 ? "" : "text");
    writer.add_floats("list", {1, 2});
    bytes += frame_record(writer.finish());
  }
  const auto path = folder.write("a.tfrecord", bytes);
  const auto stream = open_records(path, {});
  EXPECT_EQ(names_and_kinds(*stream), "f:n n:n t:t ");
  const Rows want{{"0", "0", "text"},
                  {"0.5", "1", "text"},
                  {"-", "2", "text"},
                  {"1.5", "3", "-"},
                  {"2", "4", "text"}};
  EXPECT_EQ(read_all(*stream), want);
  Rows got;
  for (int part = 0; part < 3; ++part) {
    RecordReadOptions options;
    options.part = part;
    options.parts = 3;
    const Rows rows = read(path, options);
    got.insert(got.end(), rows.begin(), rows.end());
  }
  EXPECT_EQ(got, want);
  RecordReadOptions options;
  options.columns = {{"n", ColumnKind::text}};
  EXPECT_EQ(read(path, options).at(4), std::vector<std::string>{"4"});
  options.columns = {{"list", ColumnKind::number}};
  EXPECT_NE(std::string(error_of([&] { read(path, options); }).what()).find("a list of 2 values"),
            std::string::npos);
}

hid_t create_dataset(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& shape,
                     const std::vector<hsize_t>& chunks) {
  const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  if (!chunks.empty()) {
    H5Pset_chunk(list, static_cast<int>(chunks.size()), chunks.data());
    H5Pset_shuffle(list);
    H5Pset_deflate(list, 4);
  }
  const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
  H5Pclose(list);
  H5Sclose(space);
  return set;
}

/// n: int16 big-endian, x: doubles with a NaN, t: texts, m: 5 x 3 of floats.
std::string write_hdf5(const std::string& path, const std::vector<hsize_t>& matrix_chunks) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const std::vector<int> n{-1, 2, 3, 300, 5};
  const std::vector<double> x{0.5, NAN, 2.5, 3.5, 4.5};
  std::vector<float> m;
  for (int i = 0; i < 15; ++i) m.push_back(static_cast<float>(i) / 2);
  const hid_t text = H5Tcopy(H5T_C_S1);
  H5Tset_size(text, 4);
  const auto write = [&](const char* name, hid_t stored, hid_t memory, const void* values,
                         const std::vector<hsize_t>& shape, const std::vector<hsize_t>& chunks) {
    const hid_t set = create_dataset(file, name, stored, shape, chunks);
    H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
  };
  write("n", H5T_STD_I16BE, H5T_NATIVE_INT, n.data(), {5}, {});
  write("x", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, x.data(), {5}, {2});
  write("t", text, text, "a\0\0\0bcd\0\0\0\0\0xyzwe\0\0\0", {5}, {});
  write("m", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, m.data(), {5, 3}, matrix_chunks);
  H5Tclose(text);
  H5Fclose(file);
  return path;
}

TEST(RecordStream, Hdf5ColumnsAndMatrices) {
  TemporaryFolder folder;
  const Rows want{{"0", "0.5", "1", "-1", "a", "0.5"},
                  {"1.5", "2", "2.5", "2", "bcd", "-"},
                  {"3", "3.5", "4", "3", "-", "2.5"},
                  {"4.5", "5", "5.5", "300", "xyzw", "3.5"},
                  {"6", "6.5", "7", "5", "e", "4.5"}};
  // Contiguous, chunks of whole rows, and chunks that only the library puts together.
  for (const auto& chunks : std::vector<std::vector<hsize_t>>{{}, {2, 3}, {2, 2}}) {
    const auto path = write_hdf5(folder / "a.h5", chunks);
    const auto stream = open_records(path, {});
    EXPECT_EQ(names_and_kinds(*stream), "m[0]:n m[1]:n m[2]:n n:n t:t x:n ");
    EXPECT_EQ(read_all(*stream), want);
    for (const int parts : {2, 7}) {
      Rows got;
      for (int part = 0; part < parts; ++part) {
        RecordReadOptions options;
        options.threads = 2;
        options.part = part;
        options.parts = parts;
        options.chunk_rows = 2;
        const Rows rows = read(path, options);
        got.insert(got.end(), rows.begin(), rows.end());
      }
      EXPECT_EQ(got, want);
    }
    RecordReadOptions options;
    options.columns = {{"n", ColumnKind::text}, {"m[2]", ColumnKind::number}};
    options.columns[1].required = true;
    EXPECT_EQ(read(path, options).at(3), (std::vector<std::string>{"300", "5.5"}));
    options.columns[0].non_negative = true;
    options.columns[0].kind = ColumnKind::number;
    EXPECT_EQ(std::string(error_of([&] { read(path, options); }).what())
                  .find(path + ": row 0: column \"n\""),
              0u);
    options.columns = {{"m[3]", ColumnKind::number}};
    EXPECT_EQ(error_of([&] { read(path, options); }).kind(), ErrorKind::data);
    options.columns = {{"m", ColumnKind::number}};
    EXPECT_EQ(error_of([&] { read(path, options); }).kind(), ErrorKind::data);
  }
}

}  // namespace
}  // namespace gradmill
