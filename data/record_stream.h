// Records with named columns, as a feature pipeline reads them: CSV, TSV, JSON lines, HDF5, TFRecord.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/rating_stream.h"  // IdColumn, BadRecords, ReadReport

namespace gradmill {

enum class ColumnKind : std::uint8_t { number, text };

struct ColumnSpec {
  std::string name;
  ColumnKind kind = ColumnKind::number;
};

/// One column of a chunk.
struct RecordColumn {
  ColumnKind kind = ColumnKind::number;
  std::vector<double> numbers;        // kind number; missing: NaN
  IdColumn texts;                     // kind text: of kind string; missing: ""
  std::vector<std::uint8_t> missing;  // [rows], or empty: nothing is missing
};

struct RecordChunk {
  std::vector<RecordColumn> columns;  // as RecordStream::columns()
  std::int64_t rows = 0;
  std::int64_t first_row = 0;  // of the file or data set, for messages
};

struct RecordReadOptions {
  std::vector<ColumnSpec> columns;  // to read; empty: all, their kinds found from the first records
  std::string delimiter;            // text; empty: found
  enum class Header : std::uint8_t { detect, yes, no } header = Header::detect;
  bool quotes = true;
  std::vector<std::string> missing = {"", "?", "NA", "N/A", "nan", "NaN", "null"};
  BadRecords bad_records = BadRecords::fail;
  int threads = 1;
  int part = 0, parts = 1;
  std::int64_t chunk_rows = 1 << 16;
  bool verify = true;
};

class RecordStream {
 public:
  virtual ~RecordStream() = default;
  virtual const std::vector<ColumnSpec>& columns() const = 0;
  /// Overwrites chunk; false at the end. Errors: ErrorKind::data with file, line, column.
  virtual bool next(RecordChunk& chunk) = 0;
  virtual const ReadReport& report() const = 0;
};

/// By what the source is (see find_rating_files); *.jsonl, *.ndjson, *.json are JSON lines. Without a header,
/// columns are named "1", "2", ….
std::unique_ptr<RecordStream> open_records(const std::string& path,
                                           const RecordReadOptions& options);

}  // namespace gradmill
