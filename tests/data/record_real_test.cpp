// Records of files that others have written, sound and damaged.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/json_line.h"
#include "data/record_stream.h"
#include "tests/data/record_rows.h"
#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {
using testing::names_and_kinds;
using testing::read;
using testing::read_all;
using testing::Rows;
using testing::shared_data;

TEST(RecordStream, CsvSpectrum) {
  const auto folder = shared_data("formats-csv/csv-spectrum");
  if (!folder) GTEST_SKIP() << "csv-spectrum is not here";
  for (const auto& entry : std::filesystem::directory_iterator(*folder + "/csvs")) {
    const std::string name = entry.path().stem().string();
    std::ifstream json(*folder + "/json/" + name + ".json");
    const auto want = nlohmann::ordered_json::parse(json);
    if (!want.is_array()) continue;  // its values are not those of the CSV file
    RecordReadOptions options;
    options.header = RecordReadOptions::Header::yes;
    options.delimiter = ",";
    for (const auto& [key, value] : want.at(0).items())
      options.columns.push_back({key, ColumnKind::text});
    Rows rows;
    for (const auto& record : want) {
      auto& row = rows.emplace_back();
      for (const auto& [key, value] : record.items()) {
        const auto text = value.get<std::string>();
        row.push_back(text.empty() ? "-" : text);
      }
    }
    EXPECT_EQ(read(entry.path().string(), options), rows) << name;
  }
}

TEST(RecordStream, ChicagoTaxiIsTheSameFromTfRecordsAndCsv) {
  const auto record = shared_data("formats-tfrecord/chicago-taxi/data_tfrecord-00000-of-00002.gz");
  const auto csv = shared_data("formats-tfrecord/chicago-taxi/data.csv.gz");
  if (!record || !csv) GTEST_SKIP() << "chicago-taxi is not here";
  RecordReadOptions options;
  options.columns = {{"fare", ColumnKind::number},
                     {"payment_type", ColumnKind::text},
                     {"company", ColumnKind::text},
                     {"trip_miles", ColumnKind::number},
                     {"trip_seconds", ColumnKind::number}};
  const Rows from_records = read_all(*open_tfrecord_records({*record}, options));
  EXPECT_EQ(from_records.size(), 9988u);
  const Rows from_csv = read_all(*open_csv_records({*csv}, options));
  std::size_t found = 0;
  std::vector<std::string> wanted;
  const auto line = [](const std::vector<std::string>& row) {
    std::string text;
    for (std::size_t c = 0; c < row.size(); ++c)
      text += (c == 0 || c == 3 ? fmt::format("{:.5g}", std::atof(row[c].c_str())) : row[c]) + "|";
    return text;
  };
  for (const auto& row : from_csv) wanted.push_back(line(row));
  std::sort(wanted.begin(), wanted.end());
  for (const auto& row : from_records)
    found += std::binary_search(wanted.begin(), wanted.end(), line(row));
  EXPECT_GT(found, 6000u);
}

TEST(RecordStream, RealTables) {
  struct Known {
    const char* file;
    std::size_t rows;
    const char* columns;
    bool quotes = true;
  };
  for (const Known& known : {
           Known{"adult/adult-train.csv.gz", 32561,
                 "1:n 2:t 3:n 4:t 5:n 6:t 7:t 8:t 9:t 10:t 11:n 12:n 13:n 14:t 15:t "},
           Known{"titanic/train.csv", 891,
                 "PassengerId:n Survived:n Pclass:n Name:t Sex:t Age:n SibSp:n Parch:n Ticket:t "
                 "Fare:n Cabin:t Embarked:t "},
           Known{
               "california-housing/housing.csv.gz", 20640,
               "longitude:n latitude:n housing_median_age:n total_rooms:n total_bedrooms:n "
               "population:n households:n median_income:n median_house_value:n ocean_proximity:t "},
           Known{"sms-spam/SMSSpamCollection.gz", 5574, "1:t 2:t ", false},
       }) {
    const auto path = shared_data(known.file);
    if (!path) GTEST_SKIP() << known.file << " is not here";
    RecordReadOptions options;
    options.quotes = known.quotes;
    const auto stream = open_records(*path, options);
    EXPECT_EQ(names_and_kinds(*stream), known.columns);
    EXPECT_EQ(read_all(*stream).size(), known.rows);
  }
}

TEST(RecordStream, DamagedFilesOfOthersAreRefusedOrRead) {
  std::int64_t seen = 0;
  for (const char* folder : {"malformed-csv", "malformed-tfrecord", "malformed-hdf5"}) {
    const auto path = shared_data(folder);
    if (!path) continue;
    for (const auto& entry : std::filesystem::directory_iterator(*path)) {
      const std::string file = entry.path().string();
      if (file.ends_with(".tsv")) continue;
      ++seen;
      for (const BadRecords mode : {BadRecords::fail, BadRecords::skip}) {
        RecordReadOptions options;
        options.bad_records = mode;
        try {
          RecordChunk chunk;
          const auto stream = open_records(file, options);
          while (stream->next(chunk)) continue;
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::data) << file << ": " << error.what();
          EXPECT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
        }
      }
    }
  }
  if (seen == 0) GTEST_SKIP() << "no malformed files are here";
}

}  // namespace
}  // namespace gradmill
