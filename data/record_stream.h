// Records with named columns, as a feature pipeline reads them: CSV, TSV, JSON lines, HDF5, TFRecord.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "data/rating_stream.h"  // IdColumn, BadRecords, ReadReport

namespace gradmill {

enum class ColumnKind : std::uint8_t { number, text };

/// A column to read. Values that are not as this says make a bad record.
struct ColumnSpec {
  std::string name;
  ColumnKind kind = ColumnKind::number;
  bool required = false;               // a missing value is bad
  bool non_negative = false;           // number: at least 0
  bool keep_blanks = false;            // text of CSV: blanks at its ends belong to it
  std::string strip{};                 // text: these characters are taken off its end
  std::vector<std::string> allowed{};  // text: sorted; empty: any
};

/// One column of a chunk.
struct RecordColumn {
  ColumnKind kind = ColumnKind::number;
  std::vector<double> numbers;  // kind number: within float's range; missing: NaN
  IdColumn texts;               // kind text: of kind string, in UTF-8; missing: ""

  static constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();
  /// Becomes empty, of this kind.
  void restart(ColumnKind of) {
    kind = of;
    numbers.clear();
    texts.clear();
    texts.kind = IdColumn::Kind::string;
  }
  /// Keeps the first rows.
  void truncate(std::int64_t rows) {
    const auto r = static_cast<std::size_t>(rows);
    if (kind == ColumnKind::number) return numbers.resize(r);
    texts.ends.resize(r);
    texts.bytes.resize(r ? static_cast<std::size_t>(texts.ends[r - 1]) : 0);
  }
};

struct RecordChunk {
  std::vector<RecordColumn> columns;  // as RecordStream::columns()
  std::int64_t rows = 0;
  std::int64_t first_row = 0;  // of those that this stream gave, for messages
};

struct RecordReadOptions {
  std::vector<ColumnSpec> columns;  // to read; empty: all, their kinds found from the first records
  enum class Text : std::uint8_t { by_name, csv, json } text = Text::by_name;  // of text files
  std::string delimiter;                                                       // text; empty: found
  enum class Header : std::uint8_t { detect, yes, no } header = Header::detect;
  bool quotes = true;  // text: RFC 4180 quotes; false: '"' is a character like any other
  std::vector<std::string> missing = {"", "?", "NA", "N/A", "nan", "NaN", "null"};
  BadRecords bad_records = BadRecords::fail;
  int threads = 1;
  int part = 0, parts = 1;
  std::int64_t chunk_rows = 1 << 16;  // about; a reader may give fewer or more
};

class RecordStream {
 public:
  virtual ~RecordStream() = default;
  virtual const std::vector<ColumnSpec>& columns() const = 0;
  /// Overwrites chunk; false at the end. Errors: ErrorKind::data with file, line, column.
  virtual bool next(RecordChunk& chunk) = 0;
  virtual const ReadReport& report() const = 0;
  /// About how many records there are, to set memory aside; 0 if unknown.
  virtual std::int64_t row_estimate() const { return 0; }
};

/// By what the source is (see find_rating_files); *.jsonl, *.ndjson, *.json are JSON lines. Columns of text
/// without a header are called "1", "2", …. Kinds that are not given are found from the first records of the
/// first file, so they are the same for every part.
std::unique_ptr<RecordStream> open_records(const std::string& path,
                                           const RecordReadOptions& options);

/// By format; open_records picks one of these.
std::unique_ptr<RecordStream> open_csv_records(const std::vector<std::string>& files,
                                               const RecordReadOptions& options);
std::unique_ptr<RecordStream> open_json_records(const std::vector<std::string>& files,
                                                const RecordReadOptions& options);
std::unique_ptr<RecordStream> open_hdf5_records(const std::vector<std::string>& files,
                                                const RecordReadOptions& options);
std::unique_ptr<RecordStream> open_tfrecord_records(const std::vector<std::string>& files,
                                                    const RecordReadOptions& options);

}  // namespace gradmill
