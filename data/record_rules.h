// What the values of records' columns must be, the same for every format.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/record_stream.h"

namespace gradmill {

/// What became of a value.
enum class FieldVerdict : std::uint8_t {
  good,
  missing,       // but the column requires one
  no_number,     // malformed
  no_text,       // an object or a list of JSON
  not_finite,    // infinite, or NaN where that does not mean missing
  out_of_range,  // a float cannot hold it
  negative,
  not_utf8,
  not_allowed
};

/// Puts values into columns by the columns' specs.
class RecordRules {
 public:
  RecordRules(std::vector<ColumnSpec> columns, const std::vector<std::string>& missing);

  const std::vector<ColumnSpec>& columns() const { return columns_; }
  /// Empty columns of the right kinds.
  void restart(std::vector<RecordColumn>& columns) const;

  /// Each appends one value, or appends nothing if the value is refused. Numbers and texts turn into
  /// each other where the column is of the other kind. `quoted`: blanks at the ends belong to the text.
  FieldVerdict put_text(std::size_t column, std::string_view text, bool quoted,
                        RecordColumn& to) const;
  FieldVerdict put_number(std::size_t column, double number, RecordColumn& to) const;
  FieldVerdict put_integer(std::size_t column, std::int64_t number, RecordColumn& to) const;
  FieldVerdict put_missing(std::size_t column, RecordColumn& to) const;

  bool is_missing(std::string_view text) const;
  /// `column "age" is "x"; expected a number`. `shown` is the value as text.
  std::string message(std::size_t column, FieldVerdict verdict, std::string_view shown) const;

 private:
  FieldVerdict put_own_text(std::size_t column, std::string_view text, RecordColumn& to) const;
  std::vector<ColumnSpec> columns_;
  std::vector<std::string> missing_;
  std::array<bool, 256> missing_starts_{};  // by the first byte of a text that means missing
  std::size_t longest_missing_ = 0;
};

BadRecord why_refused(FieldVerdict verdict);

/// A finite number that a float can hold, without blanks; those too small for a double become 0.
FieldVerdict parse_number(std::string_view text, double& number);

/// The kind of a column whose first values are these: numbers if all that are not missing are.
ColumnKind kind_of_values(const RecordRules& rules, const std::vector<std::string_view>& values);

/// The column that is called so: by name, else by position from 1. Errors: ErrorKind::data
/// "<where>: …" with the names that there are, or for a name that several columns have.
std::size_t find_column(const std::string& where, const std::vector<std::string>& names,
                        const std::string& asked);

}  // namespace gradmill
