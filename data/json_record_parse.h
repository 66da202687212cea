// Records in a piece of JSON lines -> columns.
#pragma once

#include <string_view>

#include "data/csv_record_parse.h"  // ParsedRecords

namespace gradmill {

/// A member that no column asks for is passed over; a column without a member is missing, as is null. An
/// object or a list in a column makes a bad record, as does a name that is there twice. As parse_csv_records.
void parse_json_records(std::string_view text, const TextLayout& layout, const RecordRules& rules,
                        BadRecords mode, ParsedRecords& out);

}  // namespace gradmill
