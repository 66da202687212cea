#include "data/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#pragma GCC diagnostic ignored "-Wuninitialized"  // of AVX-512 intrinsics: GCC bug 105593
// Inlined, it uses the vector instructions that this build may use; the library's code has only SSE2.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>

#include "runtime/expect.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_system(ErrorKind otherwise, std::string_view doing,
                              const std::string& path) {
  const int error = errno;
  ErrorKind kind = otherwise;
  if (error == EACCES || error == EPERM) kind = ErrorKind::permission;
  if (error == ENOSPC || error == EDQUOT || error == EROFS) kind = ErrorKind::cannot_write;
  fail(kind, "{}: cannot {}: {}", path, doing, std::generic_category().message(error));
}

template <class Call>
auto retry_if_interrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

std::string random_suffix() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

Descriptor open_checked(int folder, const char* name, int flags, const std::string& path) {
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  Descriptor descriptor(
      retry_if_interrupted([&] { return ::openat(folder, name, flags | O_CLOEXEC | O_NONBLOCK); }));
  if (descriptor) return descriptor;
  expect(errno != ELOOP && errno != ENXIO, ErrorKind::data, "{}: not a regular file", path);
  fail_system(errno == ENOENT || errno == ENOTDIR ? ErrorKind::input_missing : ErrorKind::io,
              "open", path);
}

std::uint64_t block_digest(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace

int close_descriptor(int descriptor) { return ::close(descriptor); }

// ---- digests

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  expect(state_->xxh != nullptr, ErrorKind::out_of_memory, "no memory for a digest");
  XXH3_128bits_reset(state_->xxh);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::update(const void* bytes, std::size_t size) {
  XXH3_128bits_update(state_->xxh, bytes, size);
}

std::string Hasher::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string xxh128_hex(std::string_view bytes) {
  Hasher hasher;
  hasher.update(bytes.data(), bytes.size());
  return hasher.hex();
}

// ---- writing

struct OutputFile::State {
  Descriptor descriptor;
  std::string path;
  std::string written_path;  // until it gets the name `path`
  Hasher hasher;
  FileRecord record;
  std::string block;  // what the current block of 4 MiB has so far
  bool finished = false;
};

OutputFile::OutputFile(std::string path, Existing existing) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.path = std::move(path);
  s.record.name = fs::path(s.path).filename().string();
  s.written_path = s.path;
  if (existing == Existing::replace) s.written_path += ".tmp-" + random_suffix();
  s.descriptor = Descriptor(retry_if_interrupted([&] {
    return ::open(s.written_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  0644);
  }));
  if (!s.descriptor) fail_system(ErrorKind::cannot_write, "create the file", s.path);
}

OutputFile::~OutputFile() {
  if (!state_->finished) ::unlink(state_->written_path.c_str());
}

namespace {
void write_block(OutputFile& file, int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written =
        retry_if_interrupted([&] { return ::write(descriptor, bytes.data(), bytes.size()); });
    if (written < 0) fail_system(ErrorKind::io, "write", file.path());
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}
}  // namespace

void OutputFile::write(const void* bytes, std::size_t size) {
  State& s = *state_;
  s.hasher.update(bytes, size);
  s.record.bytes += static_cast<std::int64_t>(size);
  std::string_view rest(static_cast<const char*>(bytes), size);
  constexpr auto kBlock = static_cast<std::size_t>(FileRecord::kBlockBytes);
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, kBlock - s.block.size());
    rest.remove_prefix(part.size());
    const bool whole = part.size() == kBlock;  // no need to collect it
    if (!whole) s.block += part;
    if (!whole && s.block.size() < kBlock) continue;
    const std::string_view block = whole ? part : std::string_view(s.block);
    s.record.blocks.push_back(block_digest(block));
    write_block(*this, s.descriptor.get(), block);
    s.block.clear();
  }
}

std::int64_t OutputFile::size() const { return state_->record.bytes; }
const std::string& OutputFile::path() const { return state_->path; }

FileRecord OutputFile::finish() {
  State& s = *state_;
  if (!s.block.empty()) {
    s.record.blocks.push_back(block_digest(s.block));
    write_block(*this, s.descriptor.get(), s.block);
  }
  if (retry_if_interrupted([&] { return ::fsync(s.descriptor.get()); }) != 0) {
    fail_system(ErrorKind::io, "bring to the disk (fsync)", s.path);
  }
  if (::close(s.descriptor.release()) != 0 && errno != EINTR)
    fail_system(ErrorKind::io, "close", s.path);
  if (s.written_path != s.path) replace_with(s.written_path, s.path);
  s.finished = true;
  s.record.digest = s.hasher.hex();
  return std::move(s.record);
}

// ---- reading

InputFile::InputFile(Descriptor descriptor, std::string path)
    : descriptor_(std::move(descriptor)), path_(std::move(path)) {
  struct stat info {};
  if (::fstat(descriptor_.get(), &info) != 0) fail_system(ErrorKind::io, "examine", path_);
  expect(S_ISREG(info.st_mode), ErrorKind::data, "{}: not a regular file", path_);
  size_ = info.st_size;
}

InputFile InputFile::open(const std::string& path) {
  return InputFile(open_checked(AT_FDCWD, path.c_str(), O_RDONLY, path), path);
}

InputFile InputFile::open_following_links(const std::string& path) {
  return InputFile(open_checked(AT_FDCWD, path.c_str(), O_RDONLY, path), path);
}

FileRecord InputFile::record() const {
  FileRecord record;
  record.name = fs::path(path_).filename().string();
  record.bytes = size_;
  Hasher whole;
  std::string block;
  for (std::int64_t begin = 0; begin < size_; begin += FileRecord::kBlockBytes) {
    block.resize(static_cast<std::size_t>(std::min(FileRecord::kBlockBytes, size_ - begin)));
    read_at(begin, block.data(), block.size());
    record.blocks.push_back(block_digest(block));
    whole.update(block.data(), block.size());
  }
  record.digest = whole.hex();
  return record;
}

void InputFile::read_at(std::int64_t offset, void* to, std::size_t size) const {
  auto* out = static_cast<char*>(to);
  while (size > 0) {
    const auto got =
        retry_if_interrupted([&] { return ::pread(descriptor_.get(), out, size, offset); });
    if (got < 0) fail_system(ErrorKind::io, fmt::format("read at byte {}", offset), path_);
    expect(got > 0, ErrorKind::data, "{}: ends at byte {}, {} more bytes expected", path_, offset,
           size);
    out += got;
    offset += got;
    size -= static_cast<std::size_t>(got);
  }
}

void InputFile::verify(const FileRecord& record) const {
  expect(size_ == record.bytes, ErrorKind::data, "{}: has {} bytes instead of {}", path_, size_,
         record.bytes);
  const std::int64_t blocks = (size_ + FileRecord::kBlockBytes - 1) / FileRecord::kBlockBytes;
  expect(static_cast<std::int64_t>(record.blocks.size()) == blocks, ErrorKind::data,
         "{}: {} block digests recorded for {} blocks", path_, record.blocks.size(), blocks);
  // One pass in pieces that stay in the cache; only if it fails a second one to find the place.
  Hasher whole;
  std::string piece(std::size_t{1} << 18, '\0');
  for (std::int64_t begin = 0; begin < size_; begin += static_cast<std::int64_t>(piece.size())) {
    piece.resize(std::min(piece.size(), static_cast<std::size_t>(size_ - begin)));
    read_at(begin, piece.data(), piece.size());
    whole.update(piece.data(), piece.size());
  }
  if (whole.hex() == record.digest) return;
  std::string block;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t begin = b * FileRecord::kBlockBytes;
    block.resize(static_cast<std::size_t>(std::min(FileRecord::kBlockBytes, size_ - begin)));
    read_at(begin, block.data(), block.size());
    expect(block_digest(block) == record.blocks[static_cast<std::size_t>(b)], ErrorKind::data,
           "{}: damaged between byte {} and byte {}", path_, begin,
           begin + static_cast<std::int64_t>(block.size()));
  }
  fail(ErrorKind::data, "{}: its digest is {} instead of {}", path_, whole.hex(), record.digest);
}

Folder::Folder(Descriptor descriptor, std::string path)
    : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

Folder Folder::open(const std::string& path) {
  return Folder(open_checked(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY, path), path);
}

InputFile Folder::open_file(std::string_view name) const {
  expect(is_plain_name(name), ErrorKind::data, "{}: {:?} is no plain file name", path_, name);
  const std::string file(name);
  const std::string path = path_ + "/" + file;
  // One component and no link in it: nothing outside this folder can be reached.
  return InputFile(open_checked(descriptor_.get(), file.c_str(), O_RDONLY | O_NOFOLLOW, path),
                   path);
}

void Folder::sync() const {
  if (retry_if_interrupted([&] { return ::fsync(descriptor_.get()); }) != 0) {
    fail_system(ErrorKind::io, "bring to the disk (fsync)", path_);
  }
}

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return c > 31 && c != 127 && c != '/' && c != '\\'; });
}

std::string read_file(const std::string& path, std::int64_t max_bytes) {
  const InputFile file = InputFile::open(path);
  expect(file.size() <= max_bytes, ErrorKind::data, "{}: has {} bytes, at most {} are read", path,
         file.size(), max_bytes);
  std::string bytes(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, bytes.data(), bytes.size());
  return bytes;
}

// ---- names

void replace_file(const std::string& path, std::string_view bytes) {
  OutputFile file(path, Existing::replace);
  file.write(bytes);
  file.finish();
}

void replace_with(const std::string& written, const std::string& path) {
  sync_file(written);
  if (::rename(written.c_str(), path.c_str()) != 0)
    fail_system(ErrorKind::cannot_write, fmt::format("rename {} to it", written), path);
  sync_folder(parent_of(path));
}

void create_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return;
  errno = error.value();
  fail_system(ErrorKind::cannot_write, "create the folder", path);
}

void sync_folder(const std::string& path) { Folder::open(path).sync(); }

void sync_file(const std::string& path) {
  const Descriptor file = open_checked(AT_FDCWD, path.c_str(), O_RDONLY | O_NOFOLLOW, path);
  if (retry_if_interrupted([&] { return ::fsync(file.get()); }) != 0)
    fail_system(ErrorKind::io, "bring to the disk (fsync)", path);
}

void publish(const std::string& from, const std::string& to) {
  int failed = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (failed && (errno == EINVAL ||
                 errno == ENOSYS)) {  // some network file systems: not atomic against a rival
    expect(!fs::exists(fs::symlink_status(to)), ErrorKind::cannot_write, "{}: exists already", to);
    failed = ::rename(from.c_str(), to.c_str());
  }
  if (failed) fail_system(ErrorKind::cannot_write, fmt::format("rename {} to it", from), to);
  sync_folder(parent_of(to));
}

void publish_over(const std::string& from, const std::string& to) {
  if (!fs::exists(fs::symlink_status(to))) return publish(from, to);
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    sync_folder(parent_of(to));
    return remove_folder(from);  // it is now the old one
  }
  expect(errno == EINVAL || errno == ENOSYS, ErrorKind::cannot_write, "{}: cannot be replaced: {}",
         to, std::generic_category().message(errno));
  remove_folder(to);
  publish(from, to);
}

void remove_folder(const std::string& path) {
  const std::string trash = fmt::format("{}/trash-{}", parent_of(path), random_suffix());
  std::error_code error;
  fs::rename(path, trash, error);
  if (!error) {
    sync_folder(parent_of(path));
    fs::remove_all(trash, error);
  }
  if (!error) return;
  errno = error.value();
  fail_system(ErrorKind::cannot_write, "remove the folder", path);
}

}  // namespace gradmill
