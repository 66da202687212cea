// Bytes of a file from its beginning to its end; gzip files are unpacked on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace gradmill {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Reads up to `bytes` bytes; fewer only at the end. Errors: ErrorKind::io; ErrorKind::data for a
  /// damaged or truncated gzip file.
  virtual std::size_t read(char* to, std::size_t bytes) = 0;
  /// Passes over the next bytes, or to the end.
  virtual void skip(std::int64_t bytes);
};

/// Opens a file; one that begins with gzip's magic number is unpacked (all members of it).
/// Errors: ErrorKind::input_missing, permission or io naming the path.
std::unique_ptr<ByteSource> open_byte_source(const std::string& path);

/// A zlib stream (RFC 1950) from the file's first byte.
std::unique_ptr<ByteSource> open_zlib_source(const std::string& path);

/// Size on disk.
struct FileSize {
  std::int64_t bytes = 0;
  bool is_gzip = false;
};
FileSize file_size(const std::string& path);

/// Bytes that the source will give. A gzip file does not say, so it is unpacked once for this.
std::int64_t byte_source_size(const std::string& path);

/// Newlines in the first `bytes` bytes.
std::int64_t count_newlines(const std::string& path, std::int64_t bytes);

}  // namespace gradmill
