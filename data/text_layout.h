// How a text file of ratings is laid out: delimiter, header, which column is what.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/csv.h"
#include "data/rating_columns.h"
#include "data/rating_stream.h"

namespace gradmill {

/// Longer lines are refused: they are no ratings, or a quote was never closed.
constexpr std::size_t kMaxLineBytes = 1 << 20;
constexpr std::string_view kTooLong =
    "the record is longer than 1 MiB; expected a line for each rating (is a quote not closed?)";

struct TextLayout {
  static constexpr auto kUnused = static_cast<RatingRole>(kRatingRoles);
  CsvDialect dialect;
  bool lists = false;
  std::vector<RatingRole> roles;  // [fields of a record]; empty for lists
  std::int64_t data_begin = 0;  // byte of the first record behind a byte-order mark and the header
  std::int64_t header_lines = 0;  // lines before data_begin
  bool has_rows = false;          // there is a record that is not blank
  double record_bytes = 32;       // mean of the first records
  double record_rows = 1;         // mean of the first records; more in lists
  std::size_t max_line_bytes = kMaxLineBytes;
  std::string_view too_long = kTooLong;  // what is said of a longer line

  bool has(RatingRole role) const;
};

/// Finds the layout from the file's first lines. Errors: ErrorKind::data naming file and column.
TextLayout detect_text_layout(const std::string& path, const RatingReadOptions& options);

}  // namespace gradmill
