#include "launch/npz.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"
#include "tests/support/text_ids.h"

namespace gradmill {
namespace {

using namespace std::string_literals;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::text_ids;

/// The data of the archive's only array, whose header must be this.
std::string only_array(const std::string& zip, const std::string& name,
                       const std::string& dictionary) {
  const std::size_t header = 30 + name.size() + 4;
  EXPECT_EQ(zip.substr(30, name.size() + 4), name + ".npy");
  EXPECT_EQ(zip.substr(header, 8), "\x93NUMPY\x01\0"s);
  EXPECT_EQ(zip.substr(header + 10, dictionary.size()), dictionary);
  const auto size = static_cast<std::size_t>(static_cast<unsigned char>(zip[header + 8]));
  EXPECT_EQ((10 + size) % 64, 0U);
  EXPECT_EQ(zip[header + 9 + size], '\n');
  const std::size_t begin = header + 10 + size;
  return zip.substr(begin, zip.find("PK\x01\x02", begin) - begin);
}

TEST(Npz, GoldenBytes) {
  const TemporaryFolder folder;
  const std::int32_t values[] = {1, -1};
  NpzWriter npz(folder / "a.npz");
  npz.add(tensor_source("x", VectorView<const std::int32_t>{values, 2}));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.npz"));
  npz.finish();
  // Made with Python's zipfile and numpy.lib.format, times 1980-01-01, version 4.5, made on DOS.
  const std::string npy =
      "\x93NUMPY\x01\0\x76\0{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }"s +
      std::string(60, ' ') + "\n\1\0\0\0\xff\xff\xff\xff"s;
  const std::string crc = "\x63\x11\x18\x59"s;
  const std::string entry = "\x2d\0\0\0\0\0\0\0\x21\0"s + crc + "\x88\0\0\0\x88\0\0\0\x05\0\0\0"s;
  EXPECT_EQ(read_bytes(folder / "a.npz"), "PK\3\4"s + entry + "x.npy" + npy + "PK\1\2\x2d\0"s +
                                              entry + "\0\0\0\0\0\0\0\0\0\0\0\0\0\0"s + "x.npy" +
                                              "PK\5\6\0\0\0\0\1\0\1\0\x33\0\0\0\xab\0\0\0\0\0"s);
}

TEST(Npz, ArraysOfRowsWithPadding) {
  const TemporaryFolder folder;
  const float values[] = {1, 2, -7, 3, 4, -7};
  NpzWriter npz(folder / "a.npz");
  npz.add(tensor_source("m", MatrixView<const float>{values, 2, 2, 3}));
  npz.finish();
  const float want[] = {1, 2, 3, 4};
  EXPECT_EQ(only_array(read_bytes(folder / "a.npz"), "m",
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"),
            std::string(reinterpret_cast<const char*>(want), sizeof want));
}

TEST(Npz, IdsAsNumbersUnicodeOrBytes) {
  const TemporaryFolder folder;
  const auto written = [&](const IdColumn& ids) {
    NpzWriter npz(folder / "a.npz");
    npz.add("ids", ids);
    npz.finish();
    return read_bytes(folder / "a.npz");
  };
  IdColumn numbers;
  numbers.numbers = {-5, std::int64_t{1} << 40};
  EXPECT_EQ(only_array(written(numbers), "ids",
                       "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }")
                .size(),
            16U);
  EXPECT_EQ(only_array(written(text_ids({"a", "\xc3\xa4\xf0\x9f\x98\x80"})), "ids",
                       "{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }"),
            "a\0\0\0\0\0\0\0\xe4\0\0\0\0\xf6\1\0"s);
  EXPECT_EQ(only_array(written(text_ids({"\xff", "abc"})), "ids",
                       "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }"),
            "\xff\0\0abc"s);
  EXPECT_EQ(only_array(written(text_ids({})), "ids",
                       "{'descr': '<U1', 'fortran_order': False, 'shape': (0,), }"),
            "");
}

}  // namespace
}  // namespace gradmill
