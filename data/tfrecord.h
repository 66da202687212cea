// TFRecord framing: length (8 bytes), masked CRC of the length, payload, masked CRC of the payload.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/byte_source.h"
#include "data/files.h"

namespace gradmill {

/// The longest record that is read; protobuf's own limit for a message is of this order.
inline constexpr std::int64_t kMaxRecordBytes = std::int64_t{64} << 20;

/// Gives the payloads of a file in order; every CRC is verified.
/// Errors name the file, the record (from 1) and the byte where it starts: ErrorKind::data.
/// Source   tensorflow/core/lib/io/record_reader.cc.
class TfRecordReader {
 public:
  /// Uncompressed, gzip or zlib: found from the first bytes.
  explicit TfRecordReader(const std::string& path);
  /// Bytes in memory that outlive the reader.
  TfRecordReader(std::string_view bytes, std::string name);

  /// The payload is valid until the next call. False at the end of the file.
  bool next(std::string_view& payload);
  /// Passes over one record; of its CRCs only that of the length is verified.
  bool skip();
  /// True after an error that leaves the place of the next record unknown; else reading can go on.
  bool lost() const { return lost_; }
  /// Number (from 1) and first byte of the last record; bytes are those of the inflated data.
  std::int64_t record() const { return record_; }
  std::int64_t offset() const { return offset_; }
  const std::string& name() const { return name_; }
  bool compressed() const { return compressed_; }

 private:
  bool frame(std::size_t& length);
  bool ensure(std::size_t bytes);  // of unread data in the buffer
  [[noreturn]] void refuse(const std::string& why, bool lost);
  std::size_t unread() const { return end_ - begin_; }

  std::unique_ptr<ByteSource> source_;
  std::string name_;
  std::int64_t to_come_ = 0;  // at most so many bytes are not yet in the buffer
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
  std::int64_t record_ = 0, offset_ = 0, next_offset_ = 0;
  bool lost_ = false, compressed_ = false;
};

/// Writes a new file, gzip-compressed if `level` > 0.
class TfRecordWriter {
 public:
  TfRecordWriter(const std::string& path, int level);
  ~TfRecordWriter();
  void write(std::string_view payload);
  /// Flushes, syncs and closes; without it the file is removed.
  FileRecord finish();

 private:
  struct Deflate;
  void emit(std::string_view bytes);
  OutputFile file_;
  std::unique_ptr<Deflate> deflate_;
};

/// One record in its frame.
std::string frame_record(std::string_view payload);

}  // namespace gradmill
