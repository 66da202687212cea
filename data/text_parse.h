// Rating records in a piece of text -> columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/rating_stream.h"
#include "data/text_layout.h"
#include "data/text_pieces.h"

namespace gradmill {

struct ParsedText : ParsedLines {
  RatingChunk chunk;
};

/// Parses a piece of text that begins and ends at records; text.data()[text.size()] must be '\0' (as in
/// a std::string). Columns of ids that are no numbers become strings. With BadRecords::fail it stops
/// at the first bad record. `out` is overwritten; its memory is used again.
void parse_rating_text(std::string_view text, const TextLayout& layout,
                       const RatingReadOptions& options, ParsedText& out);

}  // namespace gradmill
