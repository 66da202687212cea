#include "data/text_layout.h"

#include <algorithm>
#include <charconv>

#include "data/text_fields.h"
#include "data/text_sample.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Role = RatingRole;
using Names = std::vector<std::string>;

constexpr std::size_t kSampleRecords = 100;

bool is_header(const TextSample& sample, const RatingReadOptions& options) {
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
std::vector<Role> find_roles(const std::string& path, const TextSample& sample, bool header,
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
  TextSample sample;
  read_text_head(path, kSampleRecords, sample);
  layout.data_begin = static_cast<std::int64_t>(sample.begin);
  layout.dialect = {options.delimiter, options.quotes && !layout.lists};
  if (options.delimiter.empty())
    layout.dialect.delimiter =
        layout.lists ? " " : find_delimiter(sample, options.quotes, kSampleRecords);
  const bool has_delimiter = !layout.dialect.delimiter.empty();
  if (!has_delimiter) layout.dialect.delimiter = ",";
  take_records(sample, layout.dialect, kSampleRecords);
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
