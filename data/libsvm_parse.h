// LIBSVM records in a piece of text -> samples.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "data/sample_stream.h"
#include "data/text_pieces.h"

namespace gradmill {

struct LibsvmFormat {
  std::int64_t index_base = 1;  // 0 or 1
  std::int64_t num_features = kMaxFeatures;
  BadRecords bad_records = BadRecords::fail;
  std::size_t max_line_bytes = std::size_t{1} << 26;
};

struct ParsedSamples : ParsedLines {
  SampleChunk chunk;
  std::int64_t qids = 0;  // rows that have one
  // Entries on their way into the chunk; never cleared, so that no time goes into filling them.
  std::unique_ptr<std::int32_t[]> indices;
  std::unique_ptr<float[]> values;
  std::size_t capacity = 0;
};

/// Parses a piece of text that begins and ends at lines; text.data()[text.size()] must be '\0'. With
/// BadRecords::fail it stops at the first bad record. `out` is overwritten; its memory is used again.
void parse_libsvm(std::string_view text, const LibsvmFormat& format, ParsedSamples& out);

/// How a line of LIBSVM text looks: "number (whole:number)*", with qid and a comment.
enum class LibsvmLine { blank, label_only, entries, other };
LibsvmLine classify_libsvm_line(std::string_view line);

}  // namespace gradmill
