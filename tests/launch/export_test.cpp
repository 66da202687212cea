#include "launch/export.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/text_ids.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::read_bytes;
using testing::TemporaryFolder;

TEST(Export, SafetensorsKeepIdsOfBothKinds) {
  const TemporaryFolder folder;
  const float factors[] = {1, 2, 3, 4};
  const IdColumn users = testing::text_ids({"anna", "bo"});
  IdColumn items;
  items.numbers = {7, 8};
  const ModelExport all{{tensor_source("user_factors", MatrixView<const float>{factors, 2, 2, 2})},
                        {{"user_ids", &users}, {"item_ids", &items}},
                        {{"kind", "mf-als"}}};
  const std::string path = folder / "m.safetensors";
  export_model(path, all);
  export_model(path, all);  // replaces
  const InputFile file = InputFile::open(path);
  const SafetensorsHeader header = SafetensorsHeader::read(file);
  EXPECT_EQ(header.metadata().at("kind"), "mf-als");
  std::string bytes(6, ' ');
  read_tensor_rows(file, *header.find("user_ids.bytes"), 0, 6, bytes.data(), 1);
  EXPECT_EQ(bytes, "annabo");
  std::vector<std::int64_t> ends(2), numbers(2);
  read_tensor_rows(file, *header.find("user_ids.ends"), 0, 2, ends.data(), 8);
  read_tensor_rows(file, *header.find("item_ids"), 0, 2, numbers.data(), 8);
  EXPECT_EQ(ends, users.ends);
  EXPECT_EQ(numbers, items.numbers);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);

  export_model(folder / "m.npz", all);
  const std::string zip = read_bytes(folder / "m.npz");
  for (const char* name : {"user_factors.npy", "user_ids.npy", "item_ids.npy"})
    EXPECT_NE(zip.find(name), std::string::npos);
  EXPECT_EQ(error_of([&] { export_model(folder / "m.pickle", all); }).kind(), ErrorKind::usage);
}

}  // namespace
}  // namespace gradmill
