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

/// A finite number in decimal notation ("3", "-.5", "+1e-3"); false otherwise. Values that a float
/// cannot hold are refused, those too small for it become 0.
bool parse_value(std::string_view text, float& value);

/// A 64-bit integer; a fraction, as pandas writes it ("978300760.0"), is dropped.
bool parse_timestamp(std::string_view text, std::int64_t& timestamp);

}  // namespace gradmill
