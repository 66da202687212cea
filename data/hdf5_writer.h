// Writes a table as an HDF5 file: one data set a column, in chunks with checksums.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gradmill {

struct Hdf5WriterColumn {
  enum class Type : std::uint8_t { int32, int64, float32 } type = Type::int64;
  std::string name;         // in the group
  std::string description;  // becomes the attribute "description"
  static constexpr std::int64_t kGrows = -1;
  std::int64_t rows = 0;        // 0: as the table; kGrows: as many as are appended
  std::int64_t chunk_rows = 0;  // 0: options.chunk_rows
};

struct Hdf5WriterOptions {
  std::int64_t chunk_rows = 1 << 15;
  int deflate = 0;        // 0: none, 1..9: zlib level, with shuffle
  bool checksums = true;  // fletcher32 on every chunk; shards always have them
  // A group for the columns, which are the arrays of a sparse matrix by rows of this many features.
  std::string group{};
  std::int64_t num_features = 0;
};

/// libver=latest; the bytes depend on the arguments alone (no times).
/// Errors: ErrorKind::cannot_write naming the file.
class Hdf5Writer {
 public:
  /// The file must not exist; `rows` > 0.
  Hdf5Writer(const std::string& path, const std::vector<Hdf5WriterColumn>& columns,
             std::int64_t rows, const Hdf5WriterOptions& options);
  ~Hdf5Writer();
  Hdf5Writer(Hdf5Writer&&) = delete;

  /// Appends values (of the column's type) to a column.
  void append(std::size_t column, const void* values, std::int64_t rows);
  /// Closes and syncs. Errors: ErrorKind::internal if a column is not full.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gradmill
