#include <gtest/gtest.h>

#include <filesystem>

#include "data/rating_source.h"
#include "runtime/error.h"
#include "tests/data/text_files.h"

namespace gradmill {
namespace {

using testing::all_rows;

ErrorKind kind_of(const std::string& path) {
  try {
    find_rating_files(path);
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
    return e.kind();
  }
  return ErrorKind::internal;
}

TEST(OpenRatings, AFolderOrPatternStandsForItsFilesInOrder) {
  testing::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "in/deeper");
  const auto b = folder.write("in/b.csv", "3,4,5\n"), a = folder.write("in/a.csv", "1,2,3\n");
  folder.write("in/.hidden", "x");
  folder.write("in/_SUCCESS", "");
  folder.write("in/deeper/c.csv", "x");
  EXPECT_EQ(find_rating_files(folder / "in").files, (std::vector<std::string>{a, b}));
  EXPECT_EQ(find_rating_files(folder / "in/?.csv").files, (std::vector<std::string>{a, b}));
  EXPECT_EQ(find_rating_files(folder / "in/[b]*").files, (std::vector<std::string>{b}));
  const auto rows = all_rows(*open_ratings(folder / "in", {}));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1], (testing::Row{"3", "4", 5}));
  const auto odd =
      folder.write("in/x[1]*.csv", "7,8,9\n");  // a file whose name looks like a pattern
  EXPECT_EQ(find_rating_files(odd).files, (std::vector<std::string>{odd}));
}

TEST(OpenRatings, FormatsByNameAndSignature) {
  testing::TemporaryFolder folder;
  EXPECT_EQ(find_rating_files(folder.write("a.tfrecord.gz", "x")).format, RatingFormat::tfrecord);
  EXPECT_EQ(find_rating_files(folder.write("a.h5", "x")).format, RatingFormat::hdf5);
  EXPECT_EQ(find_rating_files(folder.write("a.mat", "\x89HDF\r\n\x1a\nxyz")).format,
            RatingFormat::hdf5);
  EXPECT_EQ(find_rating_files(folder.write("a.dat", "1::2::3\n")).format, RatingFormat::text);
  EXPECT_EQ(kind_of(folder / "."), ErrorKind::data);  // a mixture
  std::filesystem::create_directories(folder / "set");
  folder.write("set/dataset.json", "{}");
  EXPECT_EQ(find_rating_files(folder / "set").format, RatingFormat::dataset);
}

TEST(OpenRatings, NothingThere) {
  testing::TemporaryFolder folder;
  std::filesystem::create_directories(folder / "empty");
  EXPECT_EQ(kind_of(folder / "empty"), ErrorKind::input_missing);
  EXPECT_EQ(kind_of(folder / "none.csv"), ErrorKind::input_missing);
  EXPECT_EQ(kind_of(folder / "*.csv"), ErrorKind::input_missing);
}

}  // namespace
}  // namespace gradmill
