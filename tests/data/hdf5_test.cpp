#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/byte_source.h"
#include "data/hdf5_column.h"
#include "data/hdf5_layout.h"
#include "data/hdf5_ratings.h"
#include "data/hdf5_writer.h"
#include "data/rating_stream.h"
#include "runtime/error.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::TemporaryFolder;

namespace fs = std::filesystem;

/// All values of a numeric column as doubles.
std::vector<double> read_column(const std::string& path, const std::string& name,
                                const ChildLimits& limits = {}) {
  const Hdf5Column column = locate_hdf5_columns(path, {name}, limits).at(0);
  Hdf5Element element = column.element;
  std::string raw;
  if (column.direct) {
    Hdf5Scratch scratch;
    raw.resize(static_cast<std::size_t>(column.rows) * element.bytes);
    read_hdf5_rows(InputFile::open(path), column, 0, column.rows, raw.data(), scratch);
  } else if (column.rows > 0) {
    Hdf5ChildColumn child(path, column, 0, column.rows, limits);
    element = child.element();
    child.read(column.rows, raw);
  }
  std::vector<double> values;
  if (element.kind != Hdf5Element::Kind::integer && element.kind != Hdf5Element::Kind::real)
    return values;
  for (std::size_t at = 0; at < raw.size(); at += element.bytes) {
    unsigned char bytes[8] = {};
    for (std::size_t b = 0; b < element.bytes; ++b)
      bytes[b] =
          static_cast<unsigned char>(raw[at + (element.big_endian ? element.bytes - 1 - b : b)]);
    if (element.kind == Hdf5Element::Kind::real && element.bytes == 4) {
      float value;
      std::memcpy(&value, bytes, 4);
      values.push_back(value);
    } else if (element.kind == Hdf5Element::Kind::real) {
      double value;
      std::memcpy(&value, bytes, 8);
      values.push_back(value);
    } else {
      std::uint64_t value;
      std::memcpy(&value, bytes, 8);
      const unsigned shift = 64 - 8 * element.bytes;
      values.push_back(element.is_signed
                           ? static_cast<double>(static_cast<std::int64_t>(value << shift) >> shift)
                           : static_cast<double>(value));
    }
  }
  return values;
}

// Written by h5py, by old and new versions of the library, on big- and little-endian machines.
TEST(Hdf5Column, ReadsFilesOfOthers) {
  const auto folder = testing::shared_data("formats-hdf5");
  if (!folder) GTEST_SKIP() << "no shared data: formats-hdf5";
  std::ifstream manifest(*folder + "/MANIFEST.jsonl");
  std::string line;
  int read = 0, never_written = 0;
  std::string unexpected;
  while (std::getline(manifest, line)) {
    const auto entry = nlohmann::json::parse(line);
    if (!entry.contains("sum_finite") || !entry.contains("shape")) continue;
    const auto shape = entry["shape"].get<std::vector<std::int64_t>>();
    if (std::count_if(shape.begin(), shape.end(), [](auto n) { return n != 1; }) > 1 ||
        shape.empty())
      continue;
    const std::string file = entry["file"], path = entry["path"], type = entry["dtype"];
    if (type.find('i') == type.npos && type.find('u') == type.npos && type.find('f') == type.npos)
      continue;
    try {
      double sum = 0;
      std::int64_t non_finite = 0;
      const auto values = read_column(*folder + "/" + file, path);
      for (const double value : values)
        std::isfinite(value) ? void(sum += value) : void(++non_finite);
      EXPECT_EQ(static_cast<std::int64_t>(values.size()), entry["n"].get<std::int64_t>())
          << file << path;
      EXPECT_EQ(non_finite, entry["n_nonfinite"].get<std::int64_t>()) << file << path;
      EXPECT_NEAR(sum, entry["sum_finite"].get<double>(), 1e-9 * std::abs(sum)) << file << path;
      ++read;
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_EQ(error.kind(), ErrorKind::data);
      if (file.ends_with("tbitfields.h5") || path == "/noencoder_szip_dset.h5")
        continue;  // bit fields; one of two chunks was never written
      if (text.find("was never written") != text.npos && entry["sum_finite"].get<double>() == 0)
        ++never_written;
      else
        unexpected += text + "\n";
    }
  }
  EXPECT_EQ(unexpected, "");
  EXPECT_GT(read, 100);
  EXPECT_LT(never_written, 30);
}

std::int64_t peak_memory_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Files of the HDF Group's collection of crashes; some crash or hang the library.
TEST(Hdf5, MalformedFilesAreContained) {
  const auto folder = testing::shared_data("malformed-hdf5");
  if (!folder) GTEST_SKIP() << "no shared data: malformed-hdf5";
  const TemporaryFolder unpacked;
  const ChildLimits limits{std::int64_t{1} << 30, 3};
  int files = 0, refused = 0, columns = 0;
  for (const auto& entry : fs::directory_iterator(*folder)) {
    std::string path = entry.path().string();
    if (path.ends_with(".tsv")) continue;
    ++files;
    if (path.ends_with(".gz")) {
      std::string bytes(64 << 20, '\0');
      bytes.resize(open_byte_source(path)->read(bytes.data(), bytes.size()));
      path = unpacked.write(entry.path().stem().string(), bytes);
    }
    const std::int64_t before = peak_memory_kib();
    const auto contained = [&](const auto& action) {
      const auto begin = std::chrono::steady_clock::now();
      try {
        action();
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
        EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
        ++refused;
      }
      EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30)) << path;
    };
    std::vector<Hdf5Summary> found;
    contained([&] { found = list_hdf5(path, limits); });
    for (const Hdf5Summary& summary : found)
      if (summary.column) {
        contained([&] { read_column(path, summary.path, limits); });
        ++columns;
      }
    contained([&] { read_hdf5_slice({path, 0, -1}, {}, limits); });
    const auto file_kib = static_cast<std::int64_t>(fs::file_size(path) / 1024);
    EXPECT_LE(peak_memory_kib() - before, 64 * 1024 + 4 * file_kib) << path;
  }
  EXPECT_GT(files, 60);
  EXPECT_GT(refused, 60);
  RecordProperty("columns", columns);
}

struct MadeFile {
  TemporaryFolder folder;
  std::string path = folder / "made.h5";
  std::vector<std::int64_t> ids;
  std::vector<float> values;
};

std::unique_ptr<MadeFile> make_file(std::int64_t rows, const Hdf5WriterOptions& options) {
  auto made = std::make_unique<MadeFile>();
  for (std::int64_t r = 0; r < rows; ++r) {
    made->ids.push_back(r * 31 % 1000);
    made->values.push_back(static_cast<float>(r % 11));
  }
  using Type = Hdf5WriterColumn::Type;
  Hdf5Writer writer(
      made->path,
      {{Type::int64, "user_id", ""}, {Type::int64, "item", ""}, {Type::float32, "stars", ""}}, rows,
      options);
  for (std::size_t c = 0; c < 2; ++c) writer.append(c, made->ids.data(), rows / 3);
  for (std::size_t c = 0; c < 2; ++c)
    writer.append(c, made->ids.data() + rows / 3, rows - rows / 3);
  writer.append(2, made->values.data(), rows);
  writer.finish();
  return made;
}

TEST(Hdf5Writer, WritesWhatIsReadBack) {
  for (const std::int64_t rows : {1, 31, 32, 33, 257, 10'000})
    for (const Hdf5WriterOptions& options :
         {Hdf5WriterOptions{1, 0}, {100, 0}, {100, 3}, {1 << 17, 0}}) {
      if (rows > 1000 && options.chunk_rows == 1) continue;
      const auto made = make_file(rows, options);
      const auto columns = locate_hdf5_columns(made->path, {"/user_id", "stars"});
      EXPECT_TRUE(columns[0].direct);
      EXPECT_EQ(columns[0].element.name(), "int64");
      EXPECT_EQ(columns[1].rows, rows);
      EXPECT_EQ(read_column(made->path, "/user_id"),
                std::vector<double>(made->ids.begin(), made->ids.end()));
      EXPECT_EQ(read_column(made->path, "stars"),
                std::vector<double>(made->values.begin(), made->values.end()));
    }
}

TEST(Hdf5Ratings, FindsColumnsByNameAndNamesWhatIsMissing) {
  const auto made = make_file(100, {});
  RatingReadOptions options;
  RatingChunk chunk;
  const auto stream = open_hdf5_ratings({made->path, made->path}, options);
  std::int64_t rows = 0;
  while (stream->next(chunk)) {
    EXPECT_EQ(chunk.first_row, rows);
    EXPECT_EQ(chunk.users.numbers, made->ids);
    EXPECT_EQ(chunk.values, made->values);
    rows += chunk.rows();
  }
  EXPECT_EQ(rows, 200);
  options.columns.value = "no such";
  try {
    open_hdf5_ratings({made->path}, options)->next(chunk);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("no such"), std::string::npos) << error.what();
  }
}

TEST(Hdf5Ratings, ADamagedChunkIsFoundByItsSum) {
  for (const int deflate : {0, 3}) {
    const auto made = make_file(1000, {100, deflate});
    const Hdf5Column column = locate_hdf5_columns(made->path, {"item"}).at(0);
    const auto& chunk = column.chunks.at(4);
    std::string bytes;
    {
      std::ifstream file(made->path, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(file), {});
    }
    bytes[static_cast<std::size_t>(chunk.offset + chunk.bytes / 2)] ^= 4;
    std::ofstream(made->path, std::ios::binary) << bytes;
    RatingChunk rows;
    try {
      open_hdf5_ratings({made->path}, {})->next(rows);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find(made->path + ": data set /item, rows 400 to 499"),
                std::string::npos)
          << error.what();
    }
  }
}

/// A data set of doubles, written as others do: contiguous, one dimension of two.
void add_doubles(hid_t file, const char* name, const std::vector<double>& values) {
  const hsize_t dims[2] = {1, values.size()};
  const hid_t space = H5Screate_simple(2, dims, nullptr);
  const hid_t set =
      H5Dcreate2(file, name, H5T_IEEE_F64BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  ASSERT_GE(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(set);
  H5Sclose(space);
}

TEST(Hdf5Ratings, RefusesRowsThatAreNoRatingsOrCountsThem) {
  const TemporaryFolder folder;
  const std::string path = folder / "reals.h5";
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
  add_doubles(file, "users", {1, 2, 3.5, NAN, 5, 6, 7});
  add_doubles(file, "items", {1, 2, 3, 4, 1e30, 6, 7});
  add_doubles(file, "values", {1, 2, 3, 4, 5, INFINITY, 1e300});
  H5Lcreate_external("/etc/passwd", "/x", file, "timestamps", H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  RatingReadOptions options;
  RatingChunk chunk;
  try {
    open_hdf5_ratings({path}, options)->next(chunk);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("row 2: the user (/users) is no id"),
              std::string::npos)
        << error.what();
  }
  options.bad_records = BadRecords::skip;
  const auto stream = open_hdf5_ratings({path}, options);
  ASSERT_TRUE(stream->next(chunk));
  EXPECT_EQ(chunk.users.numbers, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(chunk.values, (std::vector<float>{1, 2}));
  EXPECT_EQ(stream->report().skipped_by, (std::array<std::int64_t, 4>{1, 0, 2, 2}));
  options.columns.timestamp = "timestamps";
  EXPECT_THROW(open_hdf5_ratings({path}, options)->next(chunk), Error);  // a link to another file
}

TEST(ChildProcess, ReportsCrashesHangsAndErrors) {
  const auto error_of = [](const ChildProcess::Body& body) {
    try {
      ChildProcess child("file", body, {std::int64_t{1} << 28, 1});
      std::string message;
      while (child.next(message)) {
      }
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(error_of([](auto& send) { send("x"); }), "");
  EXPECT_NE(error_of([](auto&) { std::raise(SIGSEGV); }).find("crashed (signal 11)"),
            std::string::npos);
  EXPECT_NE(error_of([](auto&) { std::abort(); }).find("crashed (signal 6)"), std::string::npos);
  EXPECT_NE(error_of([](auto&) {
              for (;;) pause();
            }).find("gave no answer for 1 s"),
            std::string::npos);
  EXPECT_EQ(error_of([](auto&) { fail(ErrorKind::data, "text"); }), "file: text");
  EXPECT_NE(error_of([](auto&) {
              std::string all;
              for (;;) all += std::string(1 << 20, 'x');
            }).find("out of proportion"),
            std::string::npos);
}

}  // namespace
}  // namespace gradmill
