// Checks a source of records with named columns from end to end: what columns there are, and what is in them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/record_stream.h"
#include "data/validate.h"

namespace gradmill {

struct RecordValidationOptions {
  RecordReadOptions read;  // bad_records is ignored: bad records are counted
  std::string label;       // whose values min_value and max_value bound; empty: none
  double min_value = -std::numeric_limits<double>::infinity();
  double max_value = std::numeric_limits<double>::infinity();
};

struct ColumnSummary {
  std::string name;
  ColumnKind kind = ColumnKind::number;
  std::int64_t missing = 0;
  ValueRange range;  // of numbers
  /// Of texts: the most frequent first; the others are counted in `more`, up to 10,000 of them.
  std::vector<std::pair<std::string, std::int64_t>> values;
  std::int64_t more = 0;
};

struct RecordValidationReport : SourceReport {
  std::vector<ColumnSummary> columns;

  std::string to_text() const;
  std::string to_json() const;
};

/// Reads everything. Errors: ErrorKind::input_missing; ErrorKind::usage for a label column that is not there;
/// whatever the data themselves have wrong is in the report instead.
RecordValidationReport validate_records(const std::string& path,
                                        const RecordValidationOptions& options);

}  // namespace gradmill
