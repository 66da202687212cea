#include "data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/expect.h"
#include "runtime/handle.h"

namespace gradmill {
namespace {

constexpr std::size_t kGzipBufferBytes = 1 << 18;

using File = Handle<int, ::close, -1>;

File open_file(const std::string& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    const ErrorKind kind = errno == EACCES                       ? ErrorKind::permission
                           : errno == ENOENT || errno == ENOTDIR ? ErrorKind::input_missing
                                                                 : ErrorKind::io;
    fail(kind, "{}: cannot be opened: {}", path, std::strerror(errno));
  }
  struct stat info {};
  expect(::fstat(file.get(), &info) == 0, ErrorKind::io, "{}: {}", path, std::strerror(errno));
  expect(S_ISREG(info.st_mode), ErrorKind::input_missing, "{}: not a file", path);
  return file;
}

class PlainSource : public ByteSource {
 public:
  PlainSource(File file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  std::size_t read(char* to, std::size_t bytes) override {
    std::size_t got = 0;
    while (got < bytes) {
      const ssize_t n = ::pread(file_.get(), to + got, bytes - got, offset_);
      if (n < 0 && errno == EINTR) continue;
      expect(n >= 0, ErrorKind::io, "{}: reading at byte {} failed: {}", path_, offset_,
             std::strerror(errno));
      if (n == 0) break;
      got += static_cast<std::size_t>(n);
      offset_ += n;
    }
    return got;
  }
  void skip(std::int64_t bytes) override { offset_ += bytes; }

 private:
  File file_;
  std::string path_;
  off_t offset_ = 0;
};

class GzipSource : public ByteSource {
 public:
  GzipSource(File file, const std::string& path, int window_bits)
      : packed_(std::move(file), path), path_(path), buffer_(kGzipBufferBytes) {
    expect(inflateInit2(&stream_, window_bits) == Z_OK, ErrorKind::out_of_memory,
           "{}: zlib could not start", path_);
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;

  std::size_t read(char* to, std::size_t bytes) override {
    std::size_t got = 0;
    while (got < bytes && !finished_) {
      if (stream_.avail_in == 0 && !refill()) break;
      stream_.next_out = reinterpret_cast<Bytef*>(to + got);
      stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(bytes - got, 1u << 30));
      const uInt room = stream_.avail_out;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      got += room - stream_.avail_out;
      if (status == Z_STREAM_END) {
        next_member();
      } else {
        expect(status == Z_OK || status == Z_BUF_ERROR, ErrorKind::data,
               "{}: damaged gzip data: {} (near byte {} of the file); get the file again", path_,
               stream_.msg ? stream_.msg : "bad stream", packed_bytes_ - stream_.avail_in);
      }
    }
    return got;
  }

 private:
  bool refill() {
    stream_.avail_in =
        static_cast<uInt>(packed_.read(reinterpret_cast<char*>(buffer_.data()), buffer_.size()));
    stream_.next_in = buffer_.data();
    packed_bytes_ += stream_.avail_in;
    expect(stream_.avail_in > 0, ErrorKind::data,
           "{}: gzip file ends after {} bytes, in the middle of its data; get the file again",
           path_, packed_bytes_);
    return true;
  }
  // What follows a member is another member, or zeros that fill up a block, or damage.
  void next_member() {
    bool zeros = false;
    for (;;) {
      if (stream_.avail_in == 0) {
        stream_.avail_in = static_cast<uInt>(
            packed_.read(reinterpret_cast<char*>(buffer_.data()), buffer_.size()));
        stream_.next_in = buffer_.data();
        packed_bytes_ += stream_.avail_in;
        if (stream_.avail_in == 0) break;
      }
      if (*stream_.next_in != 0) {
        expect(!zeros && *stream_.next_in == 0x1f, ErrorKind::data,
               "{}: bytes that are not gzip follow the gzip data (byte {} of the file)", path_,
               packed_bytes_ - stream_.avail_in);
        expect(inflateReset(&stream_) == Z_OK, ErrorKind::internal, "{}: zlib reset", path_);
        return;
      }
      zeros = true;
      ++stream_.next_in;
      --stream_.avail_in;
    }
    finished_ = true;
  }

  PlainSource packed_;
  std::string path_;
  std::vector<Bytef> buffer_;
  z_stream stream_{};
  std::int64_t packed_bytes_ = 0;
  bool finished_ = false;
};

bool is_gzip(int file) {
  unsigned char magic[2];
  return ::pread(file, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

}  // namespace

void ByteSource::skip(std::int64_t bytes) {
  std::vector<char> sink(static_cast<std::size_t>(std::min<std::int64_t>(bytes, 1 << 20)));
  while (bytes > 0) {
    const std::size_t got =
        read(sink.data(), static_cast<std::size_t>(std::min<std::int64_t>(bytes, 1 << 20)));
    if (got == 0) return;
    bytes -= static_cast<std::int64_t>(got);
  }
}

std::unique_ptr<ByteSource> open_byte_source(const std::string& path) {
  File file = open_file(path);
  if (is_gzip(file.get())) return std::make_unique<GzipSource>(std::move(file), path, 15 + 16);
  return std::make_unique<PlainSource>(std::move(file), path);
}

std::unique_ptr<ByteSource> open_zlib_source(const std::string& path) {
  return std::make_unique<GzipSource>(open_file(path), path, 15);
}

FileSize file_size(const std::string& path) {
  const File file = open_file(path);
  struct stat info {};
  expect(::fstat(file.get(), &info) == 0, ErrorKind::io, "{}: {}", path, std::strerror(errno));
  return {info.st_size, is_gzip(file.get())};
}

std::int64_t byte_source_size(const std::string& path) {
  if (const FileSize size = file_size(path); !size.is_gzip) return size.bytes;
  const auto source = open_byte_source(path);
  std::vector<char> sink(1 << 20);
  std::int64_t size = 0;
  while (const std::size_t got = source->read(sink.data(), sink.size()))
    size += static_cast<std::int64_t>(got);
  return size;
}

std::int64_t count_newlines(const std::string& path, std::int64_t bytes) {
  const auto source = open_byte_source(path);
  std::string part(1 << 20, '\0');
  std::int64_t lines = 0;
  while (bytes > 0) {
    const auto want = std::min<std::int64_t>(bytes, static_cast<std::int64_t>(part.size()));
    const auto got =
        static_cast<std::ptrdiff_t>(source->read(part.data(), static_cast<std::size_t>(want)));
    if (got == 0) break;
    lines += std::count(part.begin(), part.begin() + got, '\n');
    bytes -= got;
  }
  return lines;
}

}  // namespace gradmill
