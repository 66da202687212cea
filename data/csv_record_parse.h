// Records in a piece of delimited text -> columns.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "data/record_rules.h"
#include "data/text_layout.h"
#include "data/text_pieces.h"

namespace gradmill {

struct ParsedRecords : ParsedLines {
  RecordChunk chunk;
};

/// Which fields of a record become which columns.
struct CsvRecordFields {
  struct Use {
    std::size_t field = 0, column = 0;
  };
  std::size_t count = 0;  // fields of every record
  std::vector<Use> uses;  // by field
};

/// `text` begins and ends at records, text.data()[text.size()] == '\0'. `out` is overwritten; its memory is
/// used again. With BadRecords::fail it stops at the first bad record.
void parse_csv_records(std::string_view text, const TextLayout& layout,
                       const CsvRecordFields& fields, const RecordRules& rules, BadRecords mode,
                       ParsedRecords& out);

}  // namespace gradmill
