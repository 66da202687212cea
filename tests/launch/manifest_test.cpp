#include "launch/manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/error_of.h"

namespace gradmill {
namespace {

using testing::error_of;
using Json = nlohmann::ordered_json;

Manifest example() {
  Manifest manifest;
  manifest.info.kind = "mf-als";
  manifest.info.step = 3;
  manifest.tensors.push_back(
      {"x", ElementType::f32, {4, 2}, {{"b.safetensors", 3, 1}, {"a.safetensors", 0, 3}}});
  manifest.files.push_back({"a.safetensors", 100, std::string(32, '0'), {1, UINT64_MAX}});
  manifest.files.push_back({"b.safetensors", 0, std::string(32, '1'), {}});
  return manifest;
}

/// The document with its digest made right again.
std::string signed_text(const Json& document) {
  std::string text = document.dump(2);
  text.resize(text.size() - 2);
  return text + ",\n  \"manifest_digest\": \"" + xxh128_hex(text) + "\"\n}\n";
}

Json document_of(const Manifest& manifest) {
  Json document = Json::parse(manifest_text(manifest));
  document.erase("manifest_digest");
  return document;
}

std::string refusal(const std::string& text) {
  const Error e = error_of([&] {
    Manifest manifest = parse_manifest(text, "m.json");
    check_manifest(manifest, "m.json");
  });
  EXPECT_EQ(e.kind(), ErrorKind::data) << e.what();
  EXPECT_EQ(std::string(e.what()).find("m.json: "), 0U) << e.what();
  return e.what();
}

TEST(Manifest, RoundTrip) {
  const std::string text = manifest_text(example());
  Manifest back = parse_manifest(text, "m.json");
  EXPECT_EQ(manifest_text(back), text);
  EXPECT_EQ(signed_text(document_of(example())), text);
  check_manifest(back, "m.json");
  EXPECT_EQ(back.tensors[0].pieces[0].file, "a.safetensors");  // sorted by row
  EXPECT_EQ(back.find_file("a.safetensors")->blocks, (std::vector<std::uint64_t>{1, UINT64_MAX}));
  EXPECT_EQ(back.find_file("c"), nullptr);
  EXPECT_EQ(back.find_tensor("x")->shape, (std::vector<std::int64_t>{4, 2}));
}

TEST(Manifest, EveryFieldIsNeededAndOfItsType) {
  const Json document = document_of(example());
  for (const auto& [field, value] : document.items()) {
    Json changed = document;
    changed.erase(field);
    if (field == "generation")  // older manifests have none
      EXPECT_EQ(parse_manifest(signed_text(changed), "m.json").info.generation, 0);
    else
      EXPECT_NE(refusal(signed_text(changed)).find(field), std::string::npos);
    changed = document;
    changed[field] = true;
    EXPECT_NE(refusal(signed_text(changed)).find(field), std::string::npos);
  }
}

TEST(Manifest, RefusesWhatDoesNotFit) {
  const auto refused = [](const char* pointer, const Json& value) {
    Json document = document_of(example());
    document[Json::json_pointer(pointer)] = value;
    return refusal(signed_text(document));
  };
  EXPECT_NE(refused("/format_version", 2).find("format_version 2 is not the 1"), std::string::npos);
  EXPECT_NE(refused("/step", -1).find("step: a whole number"), std::string::npos);
  EXPECT_NE(refused("/step", 1.5).find("step: a whole number"), std::string::npos);
  EXPECT_NE(refused("/world_size", INT64_MAX).find("world_size"), std::string::npos);
  EXPECT_NE(refused("/config", "other").find("config_digest"), std::string::npos);
  EXPECT_NE(refused("/files/0/name", "../a.safetensors").find("files[0].name: a plain file name"),
            std::string::npos);
  EXPECT_NE(refused("/files/0/blocks", "12").find("files[0].blocks"), std::string::npos);
  EXPECT_NE(refused("/files/0/blocks", "00000000000000 1").find("files[0].blocks"),
            std::string::npos);
  EXPECT_NE(refused("/files/1/name", "a.safetensors").find("listed twice"), std::string::npos);
  EXPECT_NE(refused("/tensors/0/dtype", "F16").find("tensors[0].dtype"), std::string::npos);
  EXPECT_NE(refused("/tensors/0/shape", Json::array()).find("tensors[0].shape"), std::string::npos);
  EXPECT_NE(refused("/tensors/0/shape/1", INT64_MAX).find("more than 2^63 bytes"),
            std::string::npos);
  EXPECT_NE(refused("/tensors/0/shape/0", 5).find("rows 4 to 5 are missing"), std::string::npos);
  EXPECT_NE(refused("/tensors/0/shape/0", 3).find("1 rows from row 3 given where row 3 of 3"),
            std::string::npos);
  EXPECT_NE(refused("/tensors/0/pieces/0/first_row", 2).find("where row 3 of 4 is next"),
            std::string::npos);
  EXPECT_NE(refused("/tensors/0/pieces/0/rows", INT64_MAX).find("is next"), std::string::npos);
  EXPECT_NE(
      refused("/tensors/0/pieces/0/file", "c.safetensors").find("no safetensors file of the list"),
      std::string::npos);
  EXPECT_NE(refused("/metrics", Json{{"rmse", "low"}}).find("metrics.rmse"), std::string::npos);
}

TEST(Manifest, RefusesTextThatIsNoManifest) {
  const std::string text = manifest_text(example());
  refusal("");
  refusal("{}");
  for (const std::size_t size : {text.size() - 1, text.size() / 2, std::size_t{1}})
    refusal(text.substr(0, size));
  refusal(text + "\n");
  Json deep = document_of(example());
  Json nested = 1;
  for (int i = 0; i < 50; ++i) nested = Json::array({nested});
  deep["versions"] = nested;
  EXPECT_NE(refusal(signed_text(deep)).find("nested"), std::string::npos);
}

}  // namespace
}  // namespace gradmill
