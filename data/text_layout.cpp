#include "data/text_layout.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <span>

#include "data/byte_source.h"
#include "data/text_parse.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Role = TextLayout::Role;
using Names = std::vector<std::string>;

constexpr std::size_t kSampleRecords = 100;

constexpr std::array kUserNames{"user",     "userid",     "uid",     "u",
                                "reviewer", "reviewerid", "member",  "memberid",
                                "customer", "customerid", "visitor", "visitorid"};
constexpr std::array kItemNames{"item",       "itemid", "iid",      "i",        "movie",
                                "movieid",    "artist", "artistid", "product",  "productid",
                                "asin",       "book",   "bookid",   "isbn",     "track",
                                "trackid",    "song",   "songid",   "business", "businessid",
                                "parentasin", "anime",  "animeid",  "game",     "gameid"};
constexpr std::array kValueNames{"rating", "ratings",     "value", "score",
                                 "stars",  "bookrating",  "count", "playcount",
                                 "plays",  "listencount", "weight"};
constexpr std::array kWeightNames{"weight", "weights", "confidence", "sampleweight"};
constexpr std::array kTimestampNames{"timestamp", "time",           "ts",
                                     "unixtime",  "unixreviewtime", "date"};

// Lower case without blanks, '_' and '-': "User_ID" and "userId" are both "userid".
std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != '_' && c != '-' && c != ' ')
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plain;
}

std::string joined(const Names& names) {
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

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

template <class Known>
int find_known(const Names& names, const Known& known) {
  for (const char* name : known)
    for (std::size_t c = 0; c < names.size(); ++c)
      if (plain_name(names[c]) == name) return static_cast<int>(c);
  return -1;
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
  if (find_known(first, kUserNames) >= 0 || find_known(first, kItemNames) >= 0 ||
      find_known(first, kValueNames) >= 0)
    return true;
  // No field of the first record is a number, but fields of the next are: those were names.
  return sample.records.size() > 1 &&
         std::any_of(sample.records[1].begin(), sample.records[1].end(), is_number);
}

/// Gives columns their roles.
class Assignment {
 public:
  Assignment(const std::string& path, const Names& names, bool header)
      : path_(path), names_(names), header_(header), roles_(names.size(), Role::skip) {}

  /// The column that the user asked for, by name or by position.
  bool asked(Role role, const std::string& column) {
    if (column.empty()) return false;
    if (column == "-" && role != Role::user && role != Role::item) return true;
    const auto found = std::find(names_.begin(), names_.end(), column);
    if (header_ && found != names_.end()) {
      take(role, static_cast<std::size_t>(found - names_.begin()));
      return true;
    }
    std::size_t position = 0;
    const auto [end, status] =
        std::from_chars(column.data(), column.data() + column.size(), position);
    expect(status == std::errc{} && end == column.data() + column.size() && position >= 1 &&
               position <= names_.size(),
           ErrorKind::data, "{}:1: there is no column \"{}\" for the {}; {}", path_, column,
           role_name(role), what_there_is());
    take(role, position - 1);
    return true;
  }
  template <class Known>
  bool known(Role role, const Known& known) {
    for (const char* name : known)
      for (std::size_t c = 0; c < names_.size(); ++c)
        if (roles_[c] == Role::skip && plain_name(names_[c]) == name) {
          roles_[c] = role;
          return true;
        }
    return false;
  }
  bool position(Role role, std::size_t column) {
    if (column >= names_.size() || roles_[column] != Role::skip) return false;
    roles_[column] = role;
    return true;
  }
  std::string what_there_is() const {
    return header_ ? fmt::format("the columns are {}", joined(names_))
                   : fmt::format("there are {} columns and no header", names_.size());
  }
  std::int64_t unused() const { return std::count(roles_.begin(), roles_.end(), Role::skip); }
  const std::vector<Role>& roles() const { return roles_; }

 private:
  void take(Role role, std::size_t column) {
    expect(roles_[column] == Role::skip, ErrorKind::data,
           "{}:1: column {} cannot be both {} and {}", path_, column + 1, role_name(roles_[column]),
           role_name(role));
    roles_[column] = role;
  }
  const std::string& path_;
  const Names& names_;
  bool header_;
  std::vector<Role> roles_;
};

std::vector<Role> find_roles(const std::string& path, const Sample& sample, bool header,
                             const RatingReadOptions& options) {
  const Names& names = sample.records[0];
  const RatingColumns& columns = options.columns;
  Assignment a(path, names, header);
  bool user = a.asked(Role::user, columns.user), item = a.asked(Role::item, columns.item);
  bool value = !options.has_values || a.asked(Role::value, columns.value);
  const bool weight = a.asked(Role::weight, columns.weight);
  const bool timestamp = a.asked(Role::timestamp, columns.timestamp);
  const bool by_name =
      header && (find_known(names, kUserNames) >= 0 || find_known(names, kItemNames) >= 0);
  if (by_name) {
    user = user || a.known(Role::user, kUserNames);
    item = item || a.known(Role::item, kItemNames);
    value = value || a.known(Role::value, kValueNames);
    if (!weight) a.known(Role::weight, kWeightNames);
    if (!timestamp) a.known(Role::timestamp, kTimestampNames);
  } else {
    user = user || a.position(Role::user, 0);
    item = item || a.position(Role::item, 1);
    value = value || a.position(Role::value, 2) || names.size() == 2;
    const Names* row = header ? (sample.records.size() > 1 ? &sample.records[1] : nullptr) : &names;
    std::int64_t time;
    if (!timestamp && names.size() == 4 && row && row->size() == 4 &&
        parse_timestamp(trimmed((*row)[3]), time))
      a.position(Role::timestamp, 3);
  }
  for (const auto& [found, role] : {std::pair{user, Role::user}, {item, Role::item}})
    expect(found, ErrorKind::data, "{}:1: no {} column was found; {}; name it (or give its number)",
           path, role_name(role), a.what_there_is());
  expect(value || a.unused() == 0, ErrorKind::data,
         "{}:1: no rating column was found; {}; name it, or '-' if every row is an interaction",
         path, a.what_there_is());
  return a.roles();
}

}  // namespace

bool TextLayout::has(Role role) const { return std::count(roles.begin(), roles.end(), role) > 0; }

std::string_view role_name(Role role) {
  constexpr std::array<std::string_view, 6> names{"unused", "user",   "item",
                                                  "rating", "weight", "timestamp"};
  return names[static_cast<std::size_t>(role)];
}

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
