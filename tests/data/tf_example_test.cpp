#include "data/tf_example.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "runtime/error.h"

namespace gradmill {
namespace {

using Kind = ExampleFeature::Kind;
using Features = std::vector<ExampleFeature>;

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string field(int number, const std::string& payload) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(payload.size()) + payload;
}
std::string example(const std::string& name, const std::string& feature) {
  return field(1, field(1, field(1, name) + field(2, feature)));
}

TEST(TfExample, RoundTripOfEveryKind) {
  const std::vector<std::int64_t> ints{0,
                                       1,
                                       -1,
                                       127,
                                       128,
                                       std::numeric_limits<std::int64_t>::max(),
                                       std::numeric_limits<std::int64_t>::min()};
  const std::vector<float> floats{0.0f, -1.5f, std::numeric_limits<float>::infinity(), 1e-40f};
  const std::vector<std::string_view> texts{"", "a", std::string_view("b\0c", 3)};
  ExampleWriter writer;
  writer.add_int64s("ints", ints);
  writer.add_floats("floats", floats);
  writer.add_bytes("texts", texts);
  writer.add_int64s("none", {});
  writer.add_int64("one", -5);
  writer.add_float("real", 2.5f);
  writer.add_bytes("text", std::string_view("id"));
  Features features;
  decode_example(writer.finish(), features);
  ASSERT_EQ(features.size(), 7u);
  std::vector<std::int64_t> got_ints;
  find_feature(features, "ints")->append_int64s(got_ints);
  EXPECT_EQ(got_ints, ints);
  std::vector<float> got_floats;
  find_feature(features, "floats")->append_floats(got_floats);
  EXPECT_EQ(got_floats, floats);
  std::vector<std::string_view> got_texts;
  find_feature(features, "texts")->append_bytes(got_texts);
  EXPECT_EQ(got_texts, texts);
  EXPECT_EQ(find_feature(features, "none")->count, 0);
  EXPECT_EQ(find_feature(features, "one")->int64_value(), -5);
  EXPECT_EQ(find_feature(features, "real")->float_value(), 2.5f);
  EXPECT_EQ(find_feature(features, "text")->bytes_value(), "id");
  EXPECT_EQ(find_feature(features, "absent"), nullptr);
}

TEST(TfExample, ReadsUnpackedLists) {
  const std::string ints =
      varint(1 << 3) + varint(7) + varint(1 << 3) + varint(300) + field(1, varint(9));
  Features features;
  const std::string record = example("x", field(3, ints));
  decode_example(record, features);
  std::vector<std::int64_t> values;
  features.at(0).append_int64s(values);
  EXPECT_EQ(values, (std::vector<std::int64_t>{7, 300, 9}));
  EXPECT_EQ(features[0].int64_value(), 7);

  const std::string one("\x0d\x00\x00\xc0\x3f", 5);  // field 1, fixed32, 1.5
  const std::string floats = example("x", field(2, one + one));
  decode_example(floats, features);
  EXPECT_EQ(features.at(0).count, 2);
  EXPECT_EQ(features[0].float_value(), 1.5f);
}

TEST(TfExample, SkipsUnknownFieldsOfEveryWireType) {
  const std::string unknown = varint(9 << 3) + varint(5) + varint(10 << 3 | 1) +
                              std::string(8, 'x') + field(11, "abc") + varint(12 << 3 | 5) +
                              "abcd" + varint(13 << 3 | 3) + varint(1 << 3) + varint(2) +
                              varint(13 << 3 | 4);
  const std::string feature = unknown + field(3, unknown + field(1, varint(4))) + unknown;
  const std::string entry =
      unknown + field(2, feature) + field(1, "x") + unknown;  // value before key
  const std::string record = unknown + field(1, unknown + field(1, entry) + unknown) + unknown;
  Features features;
  decode_example(record, features);
  ASSERT_EQ(features.size(), 1u);
  EXPECT_EQ(features[0].name, "x");
  EXPECT_EQ(features[0].int64_value(), 4);
}

TEST(TfExample, LastOfFeaturesWithOneNameCounts) {
  for (const int extra : {0, 40}) {  // few and many features are matched differently
    ExampleWriter writer;
    writer.add_int64("x", 1);
    for (int i = 0; i < extra; ++i) writer.add_int64("other" + std::to_string(i), i);
    writer.add_int64("x", 2);
    Features features;
    decode_example(writer.finish(), features);
    EXPECT_EQ(features.size(), static_cast<std::size_t>(extra + 1));
    EXPECT_EQ(find_feature(features, "x")->int64_value(), 2);
  }
}

TEST(TfExample, RefusesWhatIsNone) {
  const std::string deep = [] {
    std::string bytes;
    for (int i = 0; i < 40; ++i) bytes += varint(9 << 3 | 3);
    return bytes;
  }();
  std::string many;
  for (int i = 0; i < 70'000; ++i) many += field(1, "");
  const std::string ten(10, '\xff');
  for (const std::string& bad :
       {std::string("\x08"), std::string("\x0a\x05x"), std::string("\x00\x01", 2), ten,
        ten + "\x01", field(1, std::string("\x0a\xff\xff\xff\xff\x0f")),
        example("x", field(3, std::string("\x0a\x01\x80"))),
        example("x", field(2, field(1, "abc"))), example("x", field(1, varint(1 << 3) + varint(1))),
        example("x", field(1, "") + field(2, "")), varint(1 << 3 | 4), varint(1 << 3 | 7), deep,
        varint(1 << 3) + varint(3), field(1, many)}) {
    Features features;
    try {
      decode_example(bad, features);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_NE(std::string(error.what()).find("byte "), std::string::npos) << error.what();
    }
  }
}

TEST(TfExample, EveryCutAndEveryFlippedByteIsReadOrRefused) {
  ExampleWriter writer;
  writer.add_int64("user", 123456);
  writer.add_bytes("item", std::string_view("abc"));
  writer.add_float("rating", 3.5f);
  const std::string record(writer.finish());
  int refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    Features features;
    try {
      decode_example(bytes, features);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      ++refused;
    }
  };
  for (std::size_t cut = 1; cut < record.size(); ++cut) attempt(record.substr(0, cut));
  EXPECT_EQ(refused, static_cast<int>(record.size()) - 1);
  for (std::size_t at = 0; at < record.size(); ++at)
    for (int value = 0; value < 256; ++value) {
      std::string changed = record;
      changed[at] = static_cast<char>(value);
      attempt(changed);
    }
}

}  // namespace
}  // namespace gradmill
