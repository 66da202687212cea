// Records and fields of delimited text (RFC 4180, with any delimiter).
//
// A field that begins with '"' goes to its closing quote; inside it, "" stands for a quote, and
// delimiters and newlines are text. Anywhere else a quote is a character like any other. A record ends
// at "\n" or "\r\n". With the delimiter " ", a run of blanks is one delimiter, and blanks at the ends
// of a line mean nothing.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

struct CsvDialect {
  std::string delimiter = ",";
  bool quotes = true;
};

struct CsvField {
  std::string_view text;  // without quotes; in a buffer of the tokenizer if it had "" inside
  std::size_t begin = 0;  // position of the field in the record's text
  bool quoted = false;
  bool malformed = false;  // text after the closing quote, or no closing quote
};

/// Cuts text into records, one call each.
class CsvTokenizer {
 public:
  explicit CsvTokenizer(CsvDialect dialect) : dialect_(std::move(dialect)) {}
  /// Reads the record that begins at text[pos], sets pos behind its newline. False if pos is the end.
  /// A blank line is a record of one empty field that is not quoted.
  bool next(std::string_view text, std::size_t& pos, std::vector<CsvField>& fields);

 private:
  CsvField quoted_field(std::string_view text, std::size_t& pos);
  CsvDialect dialect_;
  std::deque<std::string> unescaped_;  // one for each field with "" inside; addresses stay
  std::size_t unescaped_used_ = 0;
};

/// Finds where records end in text that comes piece by piece; needs no more than this of the tokenizer.
class CsvRecordEnds {
 public:
  explicit CsvRecordEnds(CsvDialect dialect) : dialect_(std::move(dialect)) {}
  /// `text` begins at a record and is what the last call had, or longer. Looks on from where that one
  /// stopped and stops behind the first record end at or after stop_at. Returns the last record end
  /// found, 0 if none.
  std::size_t scan(std::string_view text, bool is_all,
                   std::size_t stop_at = std::string_view::npos);
  /// The text so far ends within quotes.
  bool in_quotes() const { return state_ == State::quoted; }
  void restart() { *this = CsvRecordEnds(std::move(dialect_)); }

 private:
  enum class State { field_start, unquoted, quoted };
  void scan_record(std::string_view text, bool is_all);
  CsvDialect dialect_;
  State state_ = State::field_start;
  std::size_t position_ = 0, last_end_ = 0;
};

}  // namespace gradmill
