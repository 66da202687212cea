// Files that survive a crash, and names from manifests that cannot leave their folder.
//
// The order that makes a folder of files durable: write every file and sync it, sync the folder,
// rename the folder to its final name, sync the parent. Until the rename there is nothing under the
// final name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/handle.h"

namespace gradmill {

/// close() whose negative descriptor means "none".
int close_descriptor(int descriptor);
using Descriptor = Handle<int, close_descriptor, -1>;

/// XXH3-128 of a byte sequence in pieces; `xxh128sum` prints the same digest of a file.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void update(const void* bytes, std::size_t size);
  std::string hex() const;  // 32 digits

 private:
  struct State;
  std::unique_ptr<State> state_;
};
std::string xxh128_hex(std::string_view bytes);

/// What makes a file of a manifest checkable. A wrong block tells where in the file the damage is.
struct FileRecord {
  static constexpr std::int64_t kBlockBytes = std::int64_t{4} << 20;
  std::string name;  // within its folder
  std::int64_t bytes = 0;
  std::string digest;                 // XXH3-128 of the whole file
  std::vector<std::uint64_t> blocks;  // XXH3-64 of each 4 MiB, the last may be shorter
};

/// What becomes of a file that has the name already: it is an error, or the finished file replaces it
/// in one step (a reader sees the old or the new bytes, also after a crash).
enum class Existing : std::uint8_t { refuse, replace };

/// A new file, written front to back and hashed on the way. Without finish() the destructor removes
/// it. Errors of all members: ErrorKind::cannot_write (no such folder, exists, disk full) or io,
/// with the path.
class OutputFile {
 public:
  explicit OutputFile(std::string path, Existing existing = Existing::refuse);
  ~OutputFile();
  OutputFile(OutputFile&&) = delete;
  void write(const void* bytes, std::size_t size);
  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  std::int64_t size() const;
  const std::string& path() const;
  /// Syncs to the disk and closes. If the sync fails the file is removed: after a failed fsync the
  /// kernel may have dropped the pages, so a second try would prove nothing.
  FileRecord finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A regular file, read at any offset.
class InputFile {
 public:
  /// Errors: ErrorKind::input_missing, permission or data (not a regular file).
  static InputFile open(const std::string& path);
  /// The same, but a link is followed: for files that the user names.
  static InputFile open_following_links(const std::string& path);
  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }
  /// All `size` bytes. Errors: ErrorKind::io; ErrorKind::data if the file ends before (it shrank).
  void read_at(std::int64_t offset, void* to, std::size_t size) const;
  /// Reads all of it, to record what is there.
  FileRecord record() const;
  /// Errors: ErrorKind::data naming the path and the byte range that differs, or the sizes.
  void verify(const FileRecord& record) const;

 private:
  friend class Folder;
  InputFile(Descriptor descriptor, std::string path);
  Descriptor descriptor_;
  std::string path_;
  std::int64_t size_ = 0;
};

/// An open folder: what is opened in it is found even if the folder is renamed meanwhile.
class Folder {
 public:
  /// Errors: ErrorKind::input_missing or permission.
  static Folder open(const std::string& path);
  const std::string& path() const { return path_; }
  /// `name` is one plain component (see is_plain_name), no link, a regular file.
  /// Errors: as InputFile::open; ErrorKind::data for any other name.
  InputFile open_file(std::string_view name) const;
  void sync() const;

 private:
  Folder(Descriptor descriptor, std::string path);
  Descriptor descriptor_;
  std::string path_;
};

/// One path component of printable bytes: not empty, no '/', no '\', not starting with '.', at most
/// 255 bytes.
bool is_plain_name(std::string_view name);

/// Errors: as InputFile::open; ErrorKind::data above max_bytes.
std::string read_file(const std::string& path, std::int64_t max_bytes);
/// Existing::replace with all bytes at once.
void replace_file(const std::string& path, std::string_view bytes);
/// As Existing::replace, for a file that a library wrote and closed at `written`.
void replace_with(const std::string& written, const std::string& path);
void create_folder(const std::string& path);  // with parents; existing is fine
void sync_folder(const std::string& path);
/// Brings a file that another library wrote to the disk.
void sync_file(const std::string& path);
/// Gives a finished file or folder its final name and syncs the parent. Errors:
/// ErrorKind::cannot_write if `to` exists already.
void publish(const std::string& from, const std::string& to);
/// As publish(), but what is at `to` is replaced and then removed.
void publish_over(const std::string& from, const std::string& to);
/// Removes a folder and what is in it, first giving it a name that starts with "trash-" so that a
/// crash cannot leave half of it under its own name.
void remove_folder(const std::string& path);

}  // namespace gradmill
