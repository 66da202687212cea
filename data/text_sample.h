// The first records of a text file, from which its layout is found.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "data/csv.h"

namespace gradmill {

struct TextSample {
  std::string text;
  bool is_whole = false;                          // the text is the whole file
  std::size_t begin = 0;                          // behind the byte-order mark
  std::vector<std::vector<std::string>> records;  // fields without quotes
  std::vector<std::size_t> ends;                  // of the records in the text
};

/// Reads at least so many records, or 1 MiB. Errors: ErrorKind::data for UTF-16, or for lines that end
/// with CR only.
void read_text_head(const std::string& path, std::size_t records, TextSample& sample);

/// Cuts the text into its first records; blank lines are none.
void take_records(TextSample& sample, const CsvDialect& dialect, std::size_t records);

/// The first of the usual delimiters that cuts all of the first records into equally many fields, at least
/// two; else that which gives the first record most fields; empty if all give one.
std::string find_delimiter(TextSample& sample, bool quotes, std::size_t records);

/// A finite number that a float can hold, blanks around it.
bool is_number(std::string_view text);

}  // namespace gradmill
