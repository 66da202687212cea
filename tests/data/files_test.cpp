#include "data/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <random>

#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;
namespace fs = std::filesystem;

std::string random_bytes(std::size_t size) {
  std::mt19937 rng(7);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(rng());
  return bytes;
}

TEST(Files, DigestIsWhatXxh128sumPrints) {
  EXPECT_EQ(xxh128_hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(xxh128_hex("abc"), "06b05ab6733a618578af5f94892f3950");
}

TEST(Files, WrittenInAnyPiecesItIsTheSameFile) {
  const TemporaryFolder folder;
  const std::string bytes =
      random_bytes(static_cast<std::size_t>(2 * FileRecord::kBlockBytes + 1234));
  FileRecord first;
  for (const std::size_t piece :
       {bytes.size(), std::size_t{1 << 20}, std::size_t{4096}, std::size_t{999'983}}) {
    const std::string path = folder / std::to_string(piece);
    OutputFile file(path);
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      file.write(std::string_view(bytes).substr(at, piece));
    const FileRecord record = file.finish();
    EXPECT_EQ(read_bytes(path), bytes);
    EXPECT_EQ(record.bytes, static_cast<std::int64_t>(bytes.size()));
    EXPECT_EQ(record.digest, xxh128_hex(bytes));
    EXPECT_EQ(record.blocks.size(), 3U);
    if (first.blocks.empty()) first = record;
    EXPECT_EQ(record.blocks, first.blocks);
    InputFile::open(path).verify(record);
  }
}

TEST(Files, DamageIsLocated) {
  const TemporaryFolder folder;
  std::string bytes = random_bytes(static_cast<std::size_t>(FileRecord::kBlockBytes + 100));
  OutputFile file(folder / "a");
  file.write(bytes);
  const FileRecord record = file.finish();
  bytes[static_cast<std::size_t>(FileRecord::kBlockBytes) + 5] ^= 1;
  write_bytes(folder / "a", bytes);
  Error e = error_of([&] { InputFile::open(folder / "a").verify(record); });
  EXPECT_EQ(e.kind(), ErrorKind::data);
  EXPECT_NE(std::string(e.what()).find("damaged between byte 4194304 and byte 4194404"),
            std::string::npos)
      << e.what();
  bytes.pop_back();
  write_bytes(folder / "a", bytes);
  e = error_of([&] { InputFile::open(folder / "a").verify(record); });
  EXPECT_NE(std::string(e.what()).find("4194403 bytes instead of 4194404"), std::string::npos)
      << e.what();
}

TEST(Files, UnfinishedFileIsRemovedAndAnExistingOneIsKept) {
  const TemporaryFolder folder;
  { OutputFile(folder / "a").write("half"); }
  EXPECT_FALSE(fs::exists(folder / "a"));
  write_bytes(folder / "a", "mine");
  EXPECT_EQ(error_of([&] { OutputFile(folder / "a"); }).kind(), ErrorKind::cannot_write);
  EXPECT_EQ(read_bytes(folder / "a"), "mine");
  EXPECT_EQ(error_of([&] { OutputFile(folder / "no/such/a"); }).kind(), ErrorKind::cannot_write);
}

TEST(Files, ALinkIsNotWrittenThrough) {
  const TemporaryFolder folder;
  write_bytes(folder / "target", "mine");
  fs::create_symlink("target", folder / "link");
  EXPECT_EQ(error_of([&] { OutputFile(folder / "link"); }).kind(), ErrorKind::cannot_write);
  EXPECT_EQ(read_bytes(folder / "target"), "mine");
}

TEST(Files, OnlyRegularFilesUnderPlainNamesOpen) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "x");
  fs::create_directory(folder / "sub");
  write_bytes(folder / "sub/b", "x");
  fs::create_symlink("a", folder / "link");
  ::mkfifo((folder / "pipe").c_str(), 0600);
  const Folder open = Folder::open(folder.path());
  EXPECT_EQ(open.open_file("a").size(), 1);
  using namespace std::string_view_literals;
  for (const std::string_view name :
       {""sv, "."sv, ".."sv, "../a"sv, "sub/b"sv, "/etc/passwd"sv, "sub"sv, "link"sv, "pipe"sv,
        "a\0b"sv, "a\\b"sv, ".hidden"sv, "./a"sv, "a/"sv, "\n"sv}) {
    EXPECT_EQ(error_of([&] { (void)open.open_file(name); }).kind(), ErrorKind::data) << name;
  }
  EXPECT_EQ(error_of([&] { (void)open.open_file("missing"); }).kind(), ErrorKind::input_missing);
  EXPECT_EQ(error_of([&] { (void)InputFile::open(folder / "sub"); }).kind(), ErrorKind::data);
}

TEST(Files, ShortFileIsSaidSo) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "12345");
  const InputFile file = InputFile::open(folder / "a");
  char to[8];
  EXPECT_NE(
      std::string(error_of([&] { file.read_at(3, to, 4); }).what()).find("ends at byte 5, 2 more"),
      std::string::npos);
  EXPECT_EQ(error_of([&] { (void)read_file(folder / "a", 4); }).kind(), ErrorKind::data);
  EXPECT_EQ(read_file(folder / "a", 5), "12345");
}

TEST(Files, PublishNeverOverwritesAndPublishOverReplaces) {
  const TemporaryFolder folder;
  for (const char* name : {"new", "final"}) {
    fs::create_directory(folder / name);
    write_bytes((folder / name) + "/f", name);
  }
  EXPECT_EQ(error_of([&] { publish(folder / "new", folder / "final"); }).kind(),
            ErrorKind::cannot_write);
  EXPECT_EQ(read_bytes(folder / "final/f"), "final");
  publish_over(folder / "new", folder / "final");
  EXPECT_EQ(read_bytes(folder / "final/f"), "new");
  publish(folder / "final", folder / "other");
  EXPECT_EQ(read_bytes(folder / "other/f"), "new");
  remove_folder(folder / "other");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Files, ReplaceFileLeavesNothingBeside) {
  const TemporaryFolder folder;
  replace_file(folder / "a", "one");
  replace_file(folder / "a", "two");
  EXPECT_EQ(read_bytes(folder / "a"), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace gradmill
