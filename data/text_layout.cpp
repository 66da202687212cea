#include "data/text_layout.h"

#include <algorithm>
#include <charconv>

#include "data/byte_source.h"
#include "data/text_fields.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Role = RatingRole;
using Names = std::vector<std::string>;

constexpr std::size_t kSampleRecords = 100;

bool is_number(std::string_view text) {
  float value;
  return parse_value(trimmed(text), value);
}

/// The first records of the file, as text that ends at a record's end.
struct Sample {
  std::string text;
  bool is_whole = false;  // the text is the whole file
  std::size_t begin = 0;  // behind the byte-order mark
  std::vector<Names> records;
  std::vector<std::size_t> ends;
};

void read_head(const std::string& path, Sample& sample) {
  // Quoted newlines are no ends of records, so with quotes the longest record must fit.
  const auto source = open_byte_source(path);
  std::string& text = sample.text;
  for (std::size_t want = 1 << 14; !sample.is_whole && text.size() <= kMaxLineBytes; want *= 2) {
    const std::size_t had = text.size();
    text.resize(want);
    text.resize(had + source->read(text.data() + had, want - had));
    sample.is_whole = text.size() < want;
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    if (lines > kSampleRecords && text.find('"') == std::string::npos) break;
  }
  sample.begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  expect(!text.starts_with("\xFF\xFE") && !text.starts_with("\xFE\xFF"), ErrorKind::data,
         "{}:1: UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)", path);
  const std::size_t cr = text.find('\r');
  expect(cr == std::string::npos || text.find('\n') != std::string::npos || cr + 1 == text.size(),
         ErrorKind::data, "{}:1: lines end with CR only; convert them to LF (tr '\\r' '\\n')",
         path);
}

void take_sample(Sample& sample, const CsvDialect& dialect, std::size_t count) {
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

// The first of the usual delimiters that cuts all of the first records into equally many fields.
std::string find_delimiter(Sample& sample, bool quotes) {
  std::string best;
  std::size_t best_fields = 1;
  for (const char* delimiter : {"::", "\t", ",", ";", "|", " "}) {
    take_sample(sample, {delimiter, quotes}, kSampleRecords);
    if (sample.records.empty()) return ",";
    const std::size_t fields = sample.records[0].size();
    const bool even = std::all_of(sample.records.begin(), sample.records.end(),
                                  [&](const Names& r) { return r.size() == fields; });
    if (even && fields >= 2) return delimiter;
    if (fields > best_fields) {
      best = delimiter;
      best_fields = fields;
    }
  }
  return best;
}

bool is_header(const Sample& sample, const RatingReadOptions& options) {
  if (options.header != RatingReadOptions::Header::detect)
    return options.header == RatingReadOptions::Header::yes;
  const Names& first = sample.records[0];
  const auto& c = options.columns;
  for (const auto& name : {c.user, c.item, c.value, c.weight, c.timestamp})
    if (!name.empty() && !is_number(name) && std::count(first.begin(), first.end(), name))
      return true;
  if (std::any_of(first.begin(), first.end(), is_number)) return false;
  if (has_usual_name(first, Role::user) || has_usual_name(first, Role::item) ||
      has_usual_name(first, Role::value))
    return true;
  // No field of the first record is a number, but fields of the next are: those were names.
  return sample.records.size() > 1 &&
         std::any_of(sample.records[1].begin(), sample.records[1].end(), is_number);
}

bool is_timestamp(const Names& record, std::size_t column) {
  std::int64_t time;
  return column < record.size() && parse_timestamp(trimmed(record[column]), time);
}

// Columns are called by their positions, unless a header has usual names; those that were not asked
// for are then 1, 2, 3 and perhaps 4.
std::vector<Role> find_roles(const std::string& path, const Sample& sample, bool header,
                             RatingReadOptions options) {
  Names names = sample.records[0];
  const bool by_name =
      header && (has_usual_name(names, Role::user) || has_usual_name(names, Role::item));
  RatingColumns& columns = options.columns;
  for (std::string* asked :
       {&columns.user, &columns.item, &columns.value, &columns.weight, &columns.timestamp}) {
    const auto found = std::find(names.begin(), names.end(), *asked);
    std::size_t position = 0;
    std::from_chars(asked->data(), asked->data() + asked->size(), position);
    if (header && by_name && found == names.end() && position >= 1 && position <= names.size())
      *asked = names[position - 1];
    if (header && !by_name && found != names.end())
      *asked = std::to_string(found - names.begin() + 1);
  }
  if (!by_name) {
    const std::size_t first_row = header && sample.records.size() > 1 ? 1 : 0;
    const auto otherwise = [](std::string& asked, const char* position) {
      if (asked.empty()) asked = position;
    };
    otherwise(columns.user, "1");
    otherwise(columns.item, "2");
    otherwise(columns.value, names.size() == 2 ? "-" : "3");
    otherwise(columns.weight, "-");
    const bool fourth = names.size() == 4 && is_timestamp(sample.records[first_row], 3) &&
                        columns.user != "4" && columns.item != "4" && columns.value != "4" &&
                        columns.weight != "4";
    otherwise(columns.timestamp, fourth ? "4" : "-");
    for (std::size_t c = 0; c < names.size(); ++c) names[c] = std::to_string(c + 1);
  }
  const auto found = find_rating_columns(path + ":1", names, options);
  std::vector<Role> roles(names.size(), TextLayout::kUnused);
  for (int r = 0; r < kRatingRoles; ++r) {
    if (found[static_cast<std::size_t>(r)] < 0) continue;
    Role& role = roles[static_cast<std::size_t>(found[static_cast<std::size_t>(r)])];
    if (role != TextLayout::kUnused)
      fail(ErrorKind::data, "{}:1: column {} cannot be both {} and {}", path,
           found[static_cast<std::size_t>(r)] + 1, role_name(role),
           role_name(static_cast<Role>(r)));
    role = static_cast<Role>(r);
  }
  return roles;
}

}  // namespace

bool TextLayout::has(Role role) const { return std::count(roles.begin(), roles.end(), role) > 0; }

TextLayout detect_text_layout(const std::string& path, const RatingReadOptions& options) {
  expect(options.delimiter.find_first_of("\"\r\n") == std::string::npos, ErrorKind::usage,
         "a delimiter cannot hold quotes or newlines");
  TextLayout layout;
  layout.lists = options.layout == RatingReadOptions::Layout::lists;
  Sample sample;
  read_head(path, sample);
  layout.data_begin = static_cast<std::int64_t>(sample.begin);
  layout.dialect = {options.delimiter, options.quotes && !layout.lists};
  if (options.delimiter.empty())
    layout.dialect.delimiter = layout.lists ? " " : find_delimiter(sample, options.quotes);
  const bool has_delimiter = !layout.dialect.delimiter.empty();
  if (!has_delimiter) layout.dialect.delimiter = ",";
  take_sample(sample, layout.dialect, kSampleRecords);
  layout.has_rows = !sample.records.empty();
  expect(!layout.has_rows || sample.ends[0] <= kMaxLineBytes, ErrorKind::data,
         "{}:1: the first line is longer than 1 MiB; expected a line for each rating", path);
  expect(has_delimiter, ErrorKind::data,
         "{}:1: a line of one field; expected user, item and rating (delimiter ',', tab, ';', '|', "
         "blank or '::'; give it if it is another)",
         path);
  if (!layout.has_rows) return layout;
  layout.record_bytes = static_cast<double>(sample.ends.back() - sample.begin) /
                        static_cast<double>(sample.records.size());
  if (layout.lists) {
    double ids = 0;
    for (const Names& record : sample.records) ids += static_cast<double>(record.size());
    layout.record_rows = ids / static_cast<double>(sample.records.size()) - 1;
    return layout;
  }

  const bool header = is_header(sample, options);
  layout.roles = find_roles(path, sample, header, options);
  if (header) {
    layout.data_begin = static_cast<std::int64_t>(sample.ends[0]);
    layout.header_lines =
        std::count(sample.text.begin(), sample.text.begin() + layout.data_begin, '\n');
    layout.has_rows = sample.records.size() > 1;
  }
  return layout;
}

}  // namespace gradmill
