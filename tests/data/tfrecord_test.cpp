#include "data/tfrecord.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <sstream>
#include <tuple>

#include "data/crc32c.h"
#include "data/rating_stream.h"
#include "data/tf_example.h"
#include "data/tfrecord_ratings.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

std::vector<std::string> read_all(TfRecordReader reader) {
  std::vector<std::string> records;
  std::string_view payload;
  while (reader.next(payload)) records.emplace_back(payload);
  return records;
}

std::vector<std::string> some_records() {
  std::vector<std::string> records;
  for (const std::size_t length : {0, 1, 31, 32, 33, 257, 10'000, 300'000, 1'000'000, 5})
    records.push_back(std::string(length, static_cast<char>('a' + records.size())));
  return records;
}

TEST(TfRecord, RoundTripPlainAndGzip) {
  const TemporaryFolder folder;
  for (const int level : {0, 1, 9}) {
    const std::string path = folder / ("level" + std::to_string(level));
    TfRecordWriter writer(path, level);
    for (const std::string& record : some_records()) writer.write(record);
    const FileRecord file = writer.finish();
    EXPECT_EQ(file.bytes, static_cast<std::int64_t>(std::filesystem::file_size(path)));
    TfRecordReader reader(path);
    EXPECT_EQ(reader.compressed(), level > 0);
    EXPECT_EQ(read_all(std::move(reader)), some_records()) << level;
    EXPECT_EQ(count_tfrecords(path), 10);
  }
}

TEST(TfRecord, ReadsZlib) {
  const TemporaryFolder folder;
  std::string framed;
  for (const std::string& record : some_records()) framed += frame_record(record);
  std::string packed(compressBound(framed.size()), '\0');
  uLongf size = packed.size();
  ASSERT_EQ(compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                      reinterpret_cast<const Bytef*>(framed.data()), framed.size(), 6),
            Z_OK);
  packed.resize(size);
  const std::string path = folder.write("zlib.tfrecord", packed);
  EXPECT_EQ(read_all(TfRecordReader(path)), some_records());
  const std::string cut = folder.write("cut.tfrecord", packed.substr(0, size / 2));
  EXPECT_EQ(error_of([&] { read_all(TfRecordReader(cut)); }).kind(), ErrorKind::data);
}

TEST(TfRecord, EmptyFileHasNoRecords) {
  EXPECT_TRUE(read_all(TfRecordReader(std::string_view(), "empty")).empty());
}

TEST(TfRecord, EveryFlippedBitAndEveryCutIsRefused) {
  const std::string framed = frame_record("first record") + frame_record("second");
  for (std::size_t at = 0; at < framed.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = framed;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      EXPECT_EQ(error_of([&] { read_all(TfRecordReader(std::string_view(changed), "f")); }).kind(),
                ErrorKind::data)
          << at;
    }
    if (at == 0 || at == framed.size() - frame_record("second").size()) continue;
    const std::string_view cut = std::string_view(framed).substr(0, at);
    EXPECT_EQ(error_of([&] { read_all(TfRecordReader(cut, "f")); }).kind(), ErrorKind::data) << at;
  }
}

TEST(TfRecord, AForgedLengthWithTheRightCrcCostsNoMemory) {
  for (const std::uint64_t length :
       {std::uint64_t{1} << 62, ~std::uint64_t{0}, std::uint64_t{100}}) {
    std::string forged(12, '\0');
    std::memcpy(forged.data(), &length, 8);
    const std::uint32_t crc = mask_crc(crc32c(std::string_view(forged).substr(0, 8)));
    std::memcpy(forged.data() + 8, &crc, 4);
    const Error error =
        error_of([&] { read_all(TfRecordReader(std::string_view(forged), "forged")); });
    EXPECT_NE(std::string(error.what()).find("forged: record 1 at byte 0"), std::string::npos)
        << error.what();
  }
}

TEST(TfRecord, GoesOnAfterADamagedPayloadOnly) {
  std::string framed = frame_record("first") + frame_record("second");
  framed[13] ^= 1;
  TfRecordReader reader(std::string_view(framed), "f");
  std::string_view payload;
  EXPECT_THROW(reader.next(payload), Error);
  EXPECT_FALSE(reader.lost());
  EXPECT_TRUE(reader.next(payload));
  EXPECT_EQ(payload, "second");

  framed[0] ^= 1;
  TfRecordReader broken(std::string_view(framed), "f");
  EXPECT_THROW(broken.next(payload), Error);
  EXPECT_TRUE(broken.lost());
  EXPECT_FALSE(broken.next(payload));
}

std::string rating_file(const TemporaryFolder& folder, const std::string& name, int rows,
                        bool text_ids) {
  const std::string path = folder / name;
  TfRecordWriter writer(path, 0);
  ExampleWriter example;
  for (int r = 0; r < rows; ++r) {
    if (text_ids)
      example.add_bytes("userId", std::string_view("u" + std::to_string(r % 7)));
    else
      example.add_int64("userId", r % 7 - 3);
    example.add_int64("movieId", r);
    example.add_float("rating", static_cast<float>(r % 5));
    if (r % 2 == 0 || !text_ids) example.add_int64("timestamp", 1'000'000 + r);
    writer.write(example.finish());
  }
  writer.finish();
  return path;
}

TEST(TfRecordRatings, ReadsRowsInOrderInPartsOfAnySize) {
  const TemporaryFolder folder;
  const std::vector<std::string> files{rating_file(folder, "a", 0, false),
                                       rating_file(folder, "b", 31, false),
                                       rating_file(folder, "c", 257, false)};
  for (const int parts : {1, 2, 3, 300}) {
    std::vector<std::int64_t> items, times;
    for (int part = 0; part < parts; ++part) {
      RatingReadOptions options;
      options.part = part;
      options.parts = parts;
      options.chunk_rows = 50;
      const auto stream = open_tfrecord_ratings(files, options);
      RatingChunk chunk;
      while (stream->next(chunk)) {
        EXPECT_EQ(chunk.first_row, static_cast<std::int64_t>(items.size()));
        items.insert(items.end(), chunk.items.numbers.begin(), chunk.items.numbers.end());
        times.insert(times.end(), chunk.timestamps.begin(), chunk.timestamps.end());
        EXPECT_EQ(chunk.values.size(), static_cast<std::size_t>(chunk.rows()));
        EXPECT_TRUE(chunk.weights.empty());
      }
    }
    ASSERT_EQ(items.size(), 288u) << parts;
    for (int r = 0; r < 288; ++r)
      EXPECT_EQ(items[static_cast<std::size_t>(r)], r < 31 ? r : r - 31);
    EXPECT_EQ(times[31], 1'000'000);
  }
}

TEST(TfRecordRatings, SkipsAndCountsBadRecordsOrNamesTheFirst) {
  const TemporaryFolder folder;
  const std::string path = rating_file(folder, "r", 10, true);
  RatingReadOptions options;
  const std::string error = error_of([&] {
                              RatingChunk chunk;
                              open_tfrecord_ratings({path}, options)->next(chunk);
                            }).what();
  EXPECT_NE(error.find(path + ": record 2 at byte "), std::string::npos) << error;
  EXPECT_NE(error.find("timestamp"), std::string::npos) << error;

  options.bad_records = BadRecords::skip;
  const auto stream = open_tfrecord_ratings({path}, options);
  RatingChunk chunk;
  ASSERT_TRUE(stream->next(chunk));
  EXPECT_EQ(chunk.rows(), 5);
  EXPECT_EQ(chunk.users.kind, IdColumn::Kind::string);
  EXPECT_EQ(chunk.users.text(1), "u2");
  EXPECT_EQ(stream->report().skipped, 5);
  EXPECT_EQ(stream->report().skipped_by[static_cast<std::size_t>(BadRecord::missing)], 5);
  EXPECT_FALSE(stream->next(chunk));
}

TEST(TfRecordRatings, RefusesIdsAndNumbersThatTextWouldRefuse) {
  ExampleWriter example;
  std::string framed;
  const auto add = [&](std::string_view user, float rating, float weight) {
    example.add_bytes("user", user);
    example.add_int64("item", 1);
    example.add_float("rating", rating);
    example.add_float("weight", weight);
    framed += frame_record(example.finish());
  };
  add("a", 1, 0);
  add("", 1, 1);                                        // missing
  add("\xff", 1, 1);                                    // malformed
  add("b", std::numeric_limits<float>::infinity(), 1);  // not finite
  add("b", 1, -1);                                      // out of range
  RatingReadOptions options;
  options.bad_records = BadRecords::skip;
  const auto stream =
      read_tfrecord_ratings(TfRecordReader(std::string_view(framed), "f"), -1, options);
  RatingChunk chunk;
  ASSERT_TRUE(stream->next(chunk));
  EXPECT_EQ(chunk.rows(), 1);
  EXPECT_EQ(stream->report().skipped_by, (std::array<std::int64_t, 4>{1, 1, 1, 1}));
}

TEST(TfRecordRatings, ReadsWhatTensorFlowWrote) {
  const auto folder = testing::shared_data("formats-tfrecord");
  if (!folder) GTEST_SKIP() << "no shared data: formats-tfrecord";
  const std::vector<std::pair<std::string, std::int64_t>> files{
      {"chicago-taxi/data_tfrecord-00000-of-00002.gz", 9988},
      {"chicago-taxi/data_tfrecord-00001-of-00002.gz", 5012},
      {"mnist/mnist.tfrecord.gz", 1000},
      {"penguin/eval-data_tfrecord-00000-of-00001.gz", 100},
      {"penguin/train-data_tfrecord-00000-of-00001.gz", 234},
      {"a9a-host/host.tfrecord", 100}};
  for (const auto& [name, expected] : files) {
    TfRecordReader reader(*folder + "/" + name);
    std::string_view payload;
    std::vector<ExampleFeature> features;
    std::int64_t rows = 0;
    for (; reader.next(payload); ++rows) decode_example(payload, features);
    EXPECT_EQ(rows, expected) << name;
    EXPECT_FALSE(features.empty()) << name;
  }
}

using Trip =
    std::tuple<std::string, std::string, std::int64_t, float>;  // company, payment, start, fare

std::vector<Trip> trips_of_csv(const std::string& path, std::int64_t& without_company) {
  std::string text(16 << 20, '\0');
  text.resize(open_byte_source(path)->read(text.data(), text.size()));
  std::vector<Trip> trips;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    if (fields.at(14).empty())
      ++without_company;
    else
      trips.emplace_back(fields[14], fields[13], std::stoll(fields[5]), std::stof(fields[1]));
  }
  return trips;
}

// 15,000 taxi trips, written as CSV and by TensorFlow; some have no company.
TEST(TfRecordRatings, TensorFlowAndCsvGiveTheSameTrips) {
  const auto folder = testing::shared_data("formats-tfrecord/chicago-taxi");
  if (!folder) GTEST_SKIP() << "no shared data: formats-tfrecord";
  std::int64_t without_company = 0;
  std::vector<Trip> expected = trips_of_csv(*folder + "/data.csv.gz", without_company);
  for (auto& trip : trips_of_csv(*folder + "/data2.csv.gz", without_company))
    expected.push_back(trip);
  EXPECT_EQ(static_cast<std::int64_t>(expected.size()) + without_company, 15'000);

  RatingReadOptions options;
  options.columns = {"company", "payment_type", "fare", "", "trip_start_timestamp"};
  options.bad_records = BadRecords::skip;
  const auto stream = open_tfrecord_ratings(
      {*folder + "/data_tfrecord-00000-of-00002.gz", *folder + "/data_tfrecord-00001-of-00002.gz"},
      options);
  std::vector<Trip> trips;
  RatingChunk chunk;
  while (stream->next(chunk))
    for (std::int64_t r = 0; r < chunk.rows(); ++r)
      trips.emplace_back(chunk.users.text(r), chunk.items.text(r),
                         chunk.timestamps[static_cast<std::size_t>(r)],
                         chunk.values[static_cast<std::size_t>(r)]);
  EXPECT_EQ(stream->report().skipped_by[static_cast<std::size_t>(BadRecord::missing)],
            without_company);
  std::sort(trips.begin(), trips.end());
  std::sort(expected.begin(), expected.end());
  ASSERT_EQ(trips.size(), expected.size());
  // One trip of the CSV files is another one in the TFRecord files.
  std::vector<Trip> only_here, only_there;
  std::set_difference(trips.begin(), trips.end(), expected.begin(), expected.end(),
                      std::back_inserter(only_here));
  std::set_difference(expected.begin(), expected.end(), trips.begin(), trips.end(),
                      std::back_inserter(only_there));
  EXPECT_EQ(only_here,
            (std::vector<Trip>{{"Taxi Affiliation Services", "Cash", 1380593700, 27.05f}}));
  EXPECT_EQ(only_there,
            (std::vector<Trip>{{"Taxi Affiliation Services", "Cash", 1374061500, 7.45f}}));
}

TEST(TfRecord, MalformedFilesAreRefusedByName) {
  const auto folder = testing::shared_data("malformed-tfrecord");
  if (!folder) GTEST_SKIP() << "no shared data: malformed-tfrecord";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const std::string path = entry.path().string();
    const auto decode = [&] {
      TfRecordReader reader(path);
      std::string_view payload;
      std::vector<ExampleFeature> features;
      while (reader.next(payload)) decode_example(payload, features);
    };
    if (path.find("zero-length") != std::string::npos) {  // an empty example is one
      EXPECT_NO_THROW(decode()) << path;
    } else {
      const Error error = error_of(decode);
      EXPECT_EQ(error.kind(), ErrorKind::data) << path;
      if (path.find("protobuf") == std::string::npos) {
        EXPECT_NE(std::string(error.what()).find(path + ": record 5"), std::string::npos)
            << error.what();
      }
    }
    ++files;
  }
  EXPECT_EQ(files, 6);
}

}  // namespace
}  // namespace gradmill
