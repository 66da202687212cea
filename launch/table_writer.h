// Tables of ids and numbers (predictions, recommendations) as CSV, JSON lines or HDF5.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill {

using TableColumn = std::variant<const IdColumn*, std::span<const float>, std::span<const double>,
                                 std::span<const std::int64_t>>;

/// Rows of one column. Errors: none.
std::int64_t column_rows(const TableColumn& column);

class TableWriter {
 public:
  virtual ~TableWriter() = default;
  /// Some more rows: columns in the order of the names, each of the same type in every call.
  /// Errors: ErrorKind::cannot_write or io; data for an id that the format cannot hold.
  virtual void append(const std::vector<TableColumn>& columns) = 0;
  /// Without it nothing is left at the path.
  virtual void finish() = 0;
};

/// By the name's end: .csv (RFC 4180: quotes where needed; header line), .jsonl, .h5 or .hdf5 (one data set a
/// column). "-": CSV on standard output; "-.jsonl": JSON lines there. Floats have the shortest text that reads
/// back to the same bits; what is not finite is an empty field or null.
/// Errors: ErrorKind::usage for another ending; cannot_write.
std::unique_ptr<TableWriter> open_table(const std::string& path, std::vector<std::string> names);

}  // namespace gradmill
