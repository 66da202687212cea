// Rows of one HDF5 column: read and decoded here, or received from the child that reads them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/child_process.h"
#include "data/files.h"
#include "data/hdf5_layout.h"
#include "runtime/thread_pool.h"

namespace gradmill {

/// Memory that is kept from chunk to chunk; one for each thread.
struct Hdf5Scratch {
  std::string stored, decoded;
};

/// Undoes the filters of one chunk: `stored` to `decoded`, which gets raw_bytes bytes.
/// Errors: ErrorKind::data what does not fit.
void decode_hdf5_chunk(const Hdf5Column& column, std::uint32_t skipped_filters,
                       std::int64_t raw_bytes, Hdf5Scratch& scratch);

/// Reads rows [first, first + count) of a direct column as they are stored, without filters: count *
/// element.bytes bytes. Checks fletcher32 sums. From any thread.
/// Errors: ErrorKind::data naming file, data set and rows.
void read_hdf5_rows(const InputFile& file, const Hdf5Column& column, std::int64_t first,
                    std::int64_t count, char* to, Hdf5Scratch& scratch);

/// Rows of a column that only the library can read, in order, from a child process.
class Hdf5ChildColumn {
 public:
  Hdf5ChildColumn(const std::string& path, const Hdf5Column& column, std::int64_t first,
                  std::int64_t count, const ChildLimits& limits);
  /// How the values come: native integers or reals of 8 bytes, or text.
  const Hdf5Element& element() const { return element_; }
  /// Appends the next `count` values (variable text: each behind its length in 4 bytes).
  void read(std::int64_t count, std::string& to);

 private:
  void receive();
  std::string name_;
  Hdf5Element element_;
  ChildProcess child_;
  std::string message_;
  std::size_t used_ = 0;
};

/// Rows of any column in order. Each chunk of the file is read and decoded once, several at a time.
class Hdf5ColumnReader {
 public:
  /// `pool` may be null; it and `file` outlive the reader.
  Hdf5ColumnReader(const InputFile& file, const Hdf5Column& column, std::int64_t first,
                   std::int64_t count, ThreadPool* pool, const ChildLimits& limits = {});
  /// How the values come.
  const Hdf5Element& element() const { return child_ ? child_->element() : column_.element; }
  /// The next `count` values (no variable text), valid until the next call.
  std::string_view read(std::int64_t count);

 private:
  void decode(std::int64_t rows);
  const InputFile& file_;
  Hdf5Column column_;
  std::int64_t row_, end_;  // still to be decoded
  ThreadPool* pool_;
  std::unique_ptr<Hdf5ChildColumn> child_;
  std::vector<Hdf5Scratch> scratch_;
  std::string buffer_;
  std::size_t used_ = 0;  // bytes of the buffer
};

}  // namespace gradmill
