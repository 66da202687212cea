#include "data/validate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "data/convert.h"
#include "data/duplicate_counter.h"
#include "data/inspect.h"
#include "runtime/error.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::TemporaryFolder;

TEST(DuplicateCounter, CountsTheSameWithAnyMemory) {
  std::mt19937_64 random(3);
  for (const std::int64_t keys : {0, 1, 2, 31, 32, 33, 257, 20'000})
    for (const std::int64_t memory :
         {std::int64_t{8 * 1000}, std::int64_t{8 * 7000}, std::int64_t{1} << 30}) {
      DuplicateCounter counter(memory);
      std::set<std::uint64_t> seen;
      std::int64_t expected = 0;
      for (std::int64_t k = 0; k < keys; ++k) {
        const std::uint64_t key = random() % 5000 * 0x100000001u;
        expected += !seen.insert(key).second;
        counter.add(key);
      }
      EXPECT_EQ(counter.count(), expected) << keys << " " << memory;
    }
}

TEST(Validate, CountsWhatIsThere) {
  const TemporaryFolder folder;
  const std::string path = folder.write("r.csv",
                                        "user,item,rating,timestamp\n"
                                        "a,1,3,10\n"
                                        "b,1,4,20\n"
                                        "a,1,5,30\n"
                                        "a,2,nan,40\n"
                                        ",2,1,50\n"
                                        "c,2,x,60\n"
                                        "d,3,9,70\n");
  ValidationOptions options;
  const ValidationReport report = validate_ratings(path, options);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.rows, 4);
  EXPECT_EQ(report.users, 3);
  EXPECT_EQ(report.items, 2);
  EXPECT_EQ(report.duplicates, 1);
  EXPECT_EQ(report.malformed + report.missing + report.non_finite, 3);
  EXPECT_EQ(report.non_finite, 1);
  EXPECT_EQ(report.missing, 1);
  EXPECT_EQ(report.value.max, 9);
  EXPECT_EQ(report.value.mean, 21.0 / 4);
  EXPECT_EQ(report.last_timestamp, 70);
  const auto json = nlohmann::json::parse(report.to_json());
  EXPECT_EQ(json["valid"], false);
  EXPECT_EQ(json["problems"].size(), 3u);
  options.max_value = 5;
  EXPECT_EQ(validate_ratings(path, options).outside, 1);
  EXPECT_NE(validate_ratings(path, options).to_text().find("NOT valid"), std::string::npos);
}

TEST(Validate, AMissingFileIsAnErrorAndAnEmptyOneAProblem) {
  const TemporaryFolder folder;
  EXPECT_THROW(validate_ratings(folder / "none.csv", {}), Error);
  EXPECT_FALSE(validate_ratings(folder.write("empty.csv", ""), {}).ok());
  EXPECT_FALSE(validate_ratings(folder.write("header.csv", "user,item,rating\n"), {}).ok());
}

TEST(Validate, ChecksDigestsOfAllShards) {
  const TemporaryFolder folder;
  std::string text = "user,item,rating\n";
  for (int r = 0; r < 100; ++r) text += std::to_string(r % 13) + "," + std::to_string(r) + ",4\n";
  const std::string source = folder.write("r.csv", text), data = folder / "data";
  ConvertOptions options;
  options.shards = 3;
  options.to = ShardFormat::tfrecord;
  convert_ratings(source, data, options);
  const ValidationReport sound = validate_ratings(data, {});
  EXPECT_TRUE(sound.ok()) << sound.to_text();
  EXPECT_EQ(sound.rows, 100);
  EXPECT_EQ(sound.users, 13);
  EXPECT_EQ(sound.shards, 3);
  std::filesystem::remove(data + "/part-00000-of-00003.tfrecord");
  std::filesystem::resize_file(data + "/part-00002-of-00003.tfrecord", 100);
  const ValidationReport bad = validate_ratings(data, {});
  EXPECT_NE(bad.to_text().find("shard 1 of 3"), std::string::npos) << bad.to_text();
  EXPECT_NE(bad.to_text().find("shard 3 of 3"), std::string::npos) << bad.to_text();
}

TEST(Inspect, DescribesEveryFormat) {
  const TemporaryFolder folder;
  std::string text = "user,item,rating\n";
  for (int r = 0; r < 100; ++r)
    text += "u" + std::to_string(r % 13) + "," + std::to_string(r) + ",4.5\n";
  const std::string source = folder.write("r.csv", text);
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord}) {
    const std::string data = folder / (format == ShardFormat::hdf5 ? "h" : "t");
    ConvertOptions options;
    options.to = format;
    convert_ratings(source, data, options);
    const auto json = nlohmann::json::parse(inspect_data(data, true));
    EXPECT_EQ(json["rows"], 100);
    EXPECT_EQ(json["columns"]["user"], "string");
    EXPECT_EQ(json["first_rows"][0]["user"], "u0");
    const std::string shard = json["shards"][0]["file"];
    const auto file = nlohmann::json::parse(inspect_data(data + "/" + shard, true));
    if (format == ShardFormat::hdf5) {
      EXPECT_EQ(file["data_sets"].size(), 3u);
      EXPECT_EQ(file["data_sets"][0]["shape"], "100");
    } else {
      EXPECT_EQ(file["records"], 100);
      EXPECT_EQ(file["features"].size(), 3u);
    }
    EXPECT_NE(inspect_data(data, false).find("rows: 100"), std::string::npos)
        << inspect_data(data, false);
  }
  EXPECT_NE(inspect_data(source, false).find("user u0"), std::string::npos)
      << inspect_data(source, false);
}

}  // namespace
}  // namespace gradmill
