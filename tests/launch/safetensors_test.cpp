#include "launch/safetensors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::read_bytes;
using testing::shared_data;
using testing::TemporaryFolder;
using testing::write_bytes;

template <class T>
std::vector<T> counted(std::int64_t size) {
  std::vector<T> values(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i % 101);
  return values;
}

/// A file with this header and so many data bytes.
std::string with_header(const std::string& header, std::size_t data_bytes) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i));
  return bytes + header + std::string(data_bytes, 'd');
}

std::string refusal(const std::string& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "t.safetensors", bytes);
  const Error e =
      error_of([&] { SafetensorsHeader::read(InputFile::open(folder / "t.safetensors")); });
  EXPECT_EQ(e.kind(), ErrorKind::data);
  EXPECT_NE(std::string(e.what()).find("t.safetensors: "), std::string::npos);
  return e.what();
}

TEST(Safetensors, RoundTripOfEveryTypeAndSize) {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000}) {
    const TemporaryFolder folder;
    const std::string path = folder / "t.safetensors";
    const auto f32 = counted<float>(rows * 8);
    const auto f64 = counted<double>(rows);
    const auto i32 = counted<std::int32_t>(rows);
    const auto i64 = counted<std::int64_t>(rows);
    const auto u8 = counted<std::uint8_t>(rows);
    const FileRecord record = write_safetensors(
        path,
        {tensor_source("bytes", VectorView<const std::uint8_t>{u8.data(), rows}),
         tensor_source("padded", MatrixView<const float>{f32.data(), rows, 5, 8}),
         tensor_source("doubles", VectorView<const double>{f64.data(), rows}),
         tensor_source("ints \"\n", VectorView<const std::int32_t>{i32.data(), rows}),
         tensor_source("longs", VectorView<const std::int64_t>{i64.data(), rows})},
        {{"who", "gradmill \"test\""}});

    const InputFile file = InputFile::open(path);
    file.verify(record);
    const SafetensorsHeader header = SafetensorsHeader::read(file);
    EXPECT_EQ(header.metadata().at("who"), "gradmill \"test\"");
    ASSERT_EQ(header.tensors().size(), 5U);
    for (const TensorInfo& t : header.tensors())
      EXPECT_EQ(t.begin % element_size(t.type), 0) << t.name;

    std::vector<float> back(f32.size(), -1);
    read_tensor_rows(file, *header.find("padded"), 0, rows, back.data(), 8 * 4);
    for (std::size_t i = 0; i < back.size(); ++i) EXPECT_EQ(back[i], i % 8 < 5 ? f32[i] : -1) << i;
    std::vector<std::uint8_t> bytes(u8.size());
    read_tensor_rows(file, *header.find("bytes"), 0, rows, bytes.data(), 1);
    EXPECT_EQ(bytes, u8);
    if (rows < 3) continue;
    std::vector<double> middle(2);
    read_tensor_rows(file, *header.find("doubles"), 1, 2, middle.data(), 8);
    EXPECT_EQ(middle, (std::vector<double>{1, 2}));
    EXPECT_EQ(error_of([&] {
                read_tensor_rows(file, *header.find("doubles"), rows - 1, 2, middle.data(), 8);
              }).kind(),
              ErrorKind::internal);
  }
}

TEST(Safetensors, ProducedPieceByPieceHasTheBytesOfAnArray) {
  const TemporaryFolder folder;
  const auto values = counted<std::int32_t>(1000);
  const auto longs = counted<std::int64_t>(3);
  const auto whole = tensor_source("v", VectorView<const std::int32_t>{values.data(), 1000});
  const auto other = tensor_source("l", VectorView<const std::int64_t>{longs.data(), 3});
  write_safetensors(folder / "whole", {whole, other});
  TensorSource pieces = tensor_source("v", VectorView<const std::int32_t>{nullptr, 1000});
  std::size_t last = 0;
  pieces.produce = [&](const ByteSink& sink) {
    sink(nullptr, 0);
    sink(values.data(), 4 * 257);
    sink(values.data() + 257, 4 * (last - 257));
  };
  last = 1000;
  write_safetensors(folder / "pieces", {pieces, other});
  EXPECT_EQ(read_bytes(folder / "pieces"), read_bytes(folder / "whole"));
  for (const std::size_t wrong : {999, 258}) {
    last = wrong;
    const Error e = error_of([&] { write_safetensors(folder / "short", {pieces, other}); });
    EXPECT_EQ(e.kind(), ErrorKind::internal);
    EXPECT_FALSE(std::filesystem::exists(folder / "short"));
  }
}

TEST(Safetensors, GoldenBytes) {
  const TemporaryFolder folder;
  const std::vector<float> values{1, 2};
  write_safetensors(folder / "t",
                    {tensor_source("x", MatrixView<const float>{values.data(), 1, 2, 2})},
                    {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  using namespace std::string_literals;
  EXPECT_EQ(read_bytes(folder / "t"), std::string(1, static_cast<char>(padded.size())) +
                                          "\0\0\0\0\0\0\0"s + padded + "\0\0\x80\x3f\0\0\0\x40"s);
}

TEST(Safetensors, RefusesWithFileTensorAndField) {
  const std::string good = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  {
    const TemporaryFolder folder;
    write_bytes(folder / "ok", with_header(good, 4));
    EXPECT_EQ(SafetensorsHeader::read(InputFile::open(folder / "ok")).tensors().size(), 1U);
  }
  const struct {
    std::string header;
    std::size_t data_bytes;
    const char* why;
  } cases[] = {
      {good, 5, "tensors end at byte"},
      {good, 3, "not a range within"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", 5, "unused bytes begin at byte"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})", 4, "not a range within"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
       6, "those before end at byte"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
       8, "\"a\": the name is there twice"},
      {R"({"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4,
       "\"dtype\": a string is not expected"},
      {R"({"a":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})", 4,
       "\"shape\": the field is there twice"},
      {R"({"a":{"dtype":"F8","shape":[4],"data_offsets":[0,4]}})", 4, "\"F8\" is not one of"},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}})", 4, "needs 16 bytes"},
      {R"({"a":{"dtype":"U8","shape":[4]}})", 4, "all needed"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"more":1}})", 4,
       "\"more\": unknown field"},
      {R"({"a":{"dtype":"U8","shape":[-4],"data_offsets":[0,4]}})", 4, "negative"},
      {R"({"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}})", 4, "whole number"},
      {R"({"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4]}})", 4,
       "whole number"},
      {R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4,
       "more than 2^63 bytes"},
      {R"({"a":{"dtype":"U8","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}})",
       0, "more than 2^63 bytes"},
      {R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
       "more than 8"},
      {R"({"a":{"dtype":"U8","shape":[[4]],"data_offsets":[0,4]}})", 4, "a list is not expected"},
      {R"({"a":7})", 0, "a number is not expected"},
      {R"({"__metadata__":{"k":1}})", 0, "a number is not expected"},
      {R"({"__metadata__":{"k":{"j":"v"}}})", 0, "an object is not expected"},
      {R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0, "tensor name"},
      {R"([1])", 0, "does not start with"},
      {R"({"a":)", 0, "not JSON at byte"},
      {R"({} {})", 0, "not JSON at byte"},
      {"{\"a\xff\":{}}", 0, "not JSON at byte"},
      {std::string(100'000, '['), 0, "does not start with"},
      {"{\"a\":" + std::string(100'000, '{'), 0, "not JSON at byte"},
  };
  for (const auto& c : cases) {
    const std::string text = refusal(with_header(c.header, c.data_bytes));
    EXPECT_NE(text.find(c.why), std::string::npos) << c.header.substr(0, 200) << "\n"
                                                   << text.substr(0, 300);
  }
  refusal("");
  refusal("1234567");
  EXPECT_NE(refusal(std::string(8, '\xff') + "{}").find("header length 18446744073709551615"),
            std::string::npos);
  EXPECT_NE(refusal(std::string("\x03\0\0\0\0\0\0\0{}", 10)).find("cut off"), std::string::npos);
}

TEST(Safetensors, TooManyTensorsAreRefused) {
  std::string header = "{";
  for (int t = 0; t < 65'537; ++t) {
    header += (t ? ",\"" : "\"") + std::to_string(t) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  EXPECT_NE(refusal(with_header(header + "}", 0)).find("more than 65536 tensors"),
            std::string::npos);
}

TEST(Safetensors, ReadsAFileOfAnotherProgram) {
  const auto path = shared_data("formats-safetensors/mnist.safetensors");
  if (!path) GTEST_SKIP() << "the shared data are not here";
  const InputFile file = InputFile::open(*path);
  const SafetensorsHeader header = SafetensorsHeader::read(file);
  EXPECT_EQ(header.tensors().size(), 20U);
  const TensorInfo* weight = header.find("layers.2.weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->shape, (std::vector<std::int64_t>{32, 32, 5, 5}));
  std::int64_t bytes = 0;
  for (const TensorInfo& t : header.tensors()) bytes += t.end - t.begin;
  EXPECT_EQ(bytes, 352'184);

  const TensorInfo* variance = header.find("layers.4.running_var");
  ASSERT_NE(variance, nullptr);
  std::vector<float> values(32);
  read_tensor_rows(file, *variance, 0, 32, values.data(), 4);
  EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0), 38928.36920928955,
              1e-9);  // by numpy
  const TensorInfo* batches = header.find("layers.4.num_batches_tracked");
  ASSERT_NE(batches, nullptr);
  EXPECT_EQ(batches->type, ElementType::i64);
  std::int64_t count = 0;
  read_tensor_rows(file, *batches, 0, 1, &count, 8);
  EXPECT_EQ(count, 350);
}

TEST(Safetensors, RefusesMalformedFiles) {
  const auto folder = shared_data("malformed-safetensors");
  if (!folder) GTEST_SKIP() << "the shared data are not here";
  int refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    const InputFile file = InputFile::open(entry.path().string());
    if (entry.path().filename().string().starts_with("ok-")) {
      EXPECT_EQ(SafetensorsHeader::read(file).tensors().size(), 2U);
      continue;
    }
    EXPECT_EQ(error_of([&] { SafetensorsHeader::read(file); }).kind(), ErrorKind::data)
        << entry.path();
    ++refused;
  }
  EXPECT_EQ(refused, 7);
}

}  // namespace
}  // namespace gradmill
