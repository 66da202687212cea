#include "data/text_sample.h"

#include <algorithm>

#include "data/byte_source.h"
#include "data/text_fields.h"
#include "data/text_layout.h"
#include "runtime/expect.h"

namespace gradmill {

bool is_number(std::string_view text) {
  float value;
  return parse_value(trimmed(text), value);
}

void read_text_head(const std::string& path, std::size_t records, TextSample& sample) {
  // Quoted newlines are no ends of records, so with quotes the longest record must fit.
  const auto source = open_byte_source(path);
  std::string& text = sample.text;
  for (std::size_t want = 1 << 14; !sample.is_whole && text.size() <= kMaxLineBytes; want *= 2) {
    const std::size_t had = text.size();
    text.resize(want);
    text.resize(had + source->read(text.data() + had, want - had));
    sample.is_whole = text.size() < want;
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    if (lines > records && text.find('"') == std::string::npos) break;
  }
  sample.begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  expect(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), ErrorKind::data,
         "{}:1: UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)", path);
  const std::size_t cr = text.find('\r');
  expect(cr == std::string::npos || text.find('\n') != std::string::npos || cr + 1 == text.size(),
         ErrorKind::data, "{}:1: lines end with CR only; convert them to LF (tr '\\r' '\\n')",
         path);
}

void take_records(TextSample& sample, const CsvDialect& dialect, std::size_t count) {
  sample.records.clear();
  sample.ends.clear();
  CsvTokenizer tokenizer(dialect);
  std::vector<CsvField> fields;
  std::size_t pos = sample.begin;
  while (sample.records.size() < count && tokenizer.next(sample.text, pos, fields)) {
    // A record that the head of the file cuts off would mislead.
    if (pos == sample.text.size() && !sample.is_whole && !sample.records.empty()) break;
    if (fields.size() == 1 && !fields[0].quoted && trimmed(fields[0].text).empty()) continue;
    auto& record = sample.records.emplace_back();
    for (const CsvField& field : fields) record.emplace_back(field.text);
    sample.ends.push_back(pos);
  }
}

std::string find_delimiter(TextSample& sample, bool quotes, std::size_t records) {
  std::string best;
  std::size_t best_fields = 1;
  for (const char* delimiter : {"::", "\t", ",", ";", "|", " "}) {
    take_records(sample, {delimiter, quotes}, records);
    if (sample.records.empty()) return ",";
    const std::size_t fields = sample.records[0].size();
    const bool even = std::all_of(sample.records.begin(), sample.records.end(),
                                  [&](const auto& r) { return r.size() == fields; });
    if (even && fields >= 2) return delimiter;
    if (fields > best_fields) {
      best = delimiter;
      best_fields = fields;
    }
  }
  return best;
}

}  // namespace gradmill
