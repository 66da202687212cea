#include "data/text_parse.h"

#include <algorithm>
#include <cstring>

#include "data/record_checks.h"
#include "data/text_fields.h"
#include "data/utf8.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Role = RatingRole;

constexpr std::int64_t kMaxExamples = 10;

class Parser {
 public:
  Parser(std::string_view text, const TextLayout& layout, const RatingReadOptions& options,
         ParsedText& out)
      : text_(text),
        layout_(layout),
        out_(out),
        tokenizer_(layout.dialect),
        fail_(options.bad_records == BadRecords::fail),
        delimiter_(layout.dialect.delimiter) {
    RatingChunk& c = out.chunk;
    for (IdColumn* ids : {&c.users, &c.items}) {
      ids->clear();
      ids->kind = options.text_ids ? IdColumn::Kind::string : IdColumn::Kind::i64;
    }
    out.examples.clear();
    out.bad = 0;
    out.bad_by = {};
    out.too_long = false;
    out.lines = std::count(text.begin(), text.end(), '\n');
  }

  void rows();
  void lists();

 private:
  const char* plain_record(const char* p);
  const char* plain_text(const char* p, IdColumn& ids, bool quoted);
  const char* plain_list(const char* p);
  void careful_record();
  void careful_list();
  bool check_fields();
  bool check_id(const CsvField& field, std::size_t column, Role role);
  void push_id(IdColumn& ids, const CsvField& field, std::int64_t row);
  void bad(BadRecord why, std::size_t byte, std::string what);
  bool too_long(std::size_t next);
  std::string named(std::size_t field, Role role) const {
    return fmt::format("{} (column {}) is {}", role_name(role), field + 1,
                       quoted(fields_[field].text));
  }

  std::string_view text_;
  const TextLayout& layout_;
  ParsedText& out_;
  CsvTokenizer tokenizer_;
  bool fail_;
  std::string_view delimiter_;
  std::vector<CsvField> fields_;
  std::size_t pos_ = 0;      // of the next record
  std::size_t counted_ = 0;  // text up to here has line_ newlines
  std::int64_t line_ = 0;
  std::int64_t rows_ = 0;
  bool stop_ = false;
};

void Parser::bad(BadRecord why, std::size_t byte, std::string what) {
  ++out_.bad;
  ++out_.bad_by[static_cast<std::size_t>(why)];
  stop_ = fail_;
  if (out_.bad > kMaxExamples) return;
  const std::size_t at = pos_ + byte;
  line_ += std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                      text_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  counted_ = at;
  const std::size_t newline = at ? text_.rfind('\n', at - 1) : std::string_view::npos;
  const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  out_.examples.push_back({why, line_, static_cast<std::int64_t>(at - begin) + 1, std::move(what)});
}

bool Parser::too_long(std::size_t next) {
  if (next - pos_ <= kMaxLineBytes + 1) [[likely]]
    return false;
  out_.examples.resize(std::min<std::size_t>(out_.examples.size(), kMaxExamples - 1));
  out_.bad = static_cast<std::int64_t>(out_.examples.size());
  bad(BadRecord::malformed, 0, std::string(kTooLong));
  return stop_ = out_.too_long = true;
}

// A field of a string column: up to the delimiter or the end of the line, without blanks at its ends;
// or up to the closing quote.
const char* Parser::plain_text(const char* p, IdColumn& ids, bool quoted) {
  const char *begin = p, *end = text_.data() + text_.size();
  unsigned char all = 0;
  if (quoted)
    while (p < end && *p != '"' && *p != '\0') all |= static_cast<unsigned char>(*p++);
  else
    while (p < end && *p != '\n' && *p != '\r' && *p != delimiter_[0] && *p != '\0')
      all |= static_cast<unsigned char>(*p++);
  if (p == begin || all >= 0x80) return nullptr;
  if (!quoted &&
      (*begin == '"' || *begin == ' ' || *begin == '\t' || p[-1] == ' ' || p[-1] == '\t'))
    return nullptr;
  ids.push(std::string_view(begin, static_cast<std::size_t>(p - begin)));
  return p;
}

// Writes row rows_ of every column; the row counts only if the whole record was plain.
const char* Parser::plain_record(const char* p) {
  RatingChunk& c = out_.chunk;
  const auto r = static_cast<std::size_t>(rows_);
  const std::size_t last = layout_.roles.size() - 1;
  for (std::size_t f = 0;; ++f) {
    const bool quoted = *p == '"' && layout_.dialect.quotes;
    p += quoted;
    switch (layout_.roles[f]) {
      case Role::user:
      case Role::item: {
        IdColumn& ids = layout_.roles[f] == Role::user ? c.users : c.items;
        p = ids.kind == IdColumn::Kind::i64 ? plain_id(p, ids.numbers[r])
                                            : plain_text(p, ids, quoted);
        break;
      }
      case Role::value:
        p = plain_value(p, c.values[r]);
        break;
      case Role::weight:
        p = plain_value(p, c.weights[r]);
        break;
      case Role::timestamp:
        p = plain_id(p, c.timestamps[r]);
        break;
      default:  // unused
        if (quoted)
          while (*p != '"' && *p != '\0') ++p;
        else
          while (*p != '\n' && *p != '\r' && *p != delimiter_[0] && *p != '\0') ++p;
        break;
    }
    if (p && quoted)
      p = *p == '"' ? p + 1 : nullptr;  // a doubled quote is not followed by a delimiter
    if (!p) return nullptr;
    if (f == last) break;
    if (*p != delimiter_[0]) return nullptr;
    if (delimiter_.size() > 1 && std::strncmp(p, delimiter_.data(), delimiter_.size()) != 0)
      return nullptr;
    p += delimiter_.size();
  }
  if (*p == '\r') ++p;
  if (*p == '\n') return p + 1;
  return p == text_.data() + text_.size() ? p : nullptr;
}

void Parser::rows() {
  RatingChunk& c = out_.chunk;
  const auto most = static_cast<std::size_t>(out_.lines) + 1;
  for (IdColumn* ids : {&c.users, &c.items})
    if (ids->kind == IdColumn::Kind::i64) ids->numbers.resize(most);
  c.values.resize(layout_.has(Role::value) ? most : 0);
  c.weights.resize(layout_.has(Role::weight) ? most : 0);
  c.timestamps.resize(layout_.has(Role::timestamp) ? most : 0);
  while (pos_ < text_.size() && !stop_) {
    const auto user_bytes = c.users.bytes.size(), item_bytes = c.items.bytes.size();
    if (const char* end = plain_record(text_.data() + pos_)) {
      const auto next = static_cast<std::size_t>(end - text_.data());
      if (too_long(next)) break;
      pos_ = next;
      ++rows_;
      continue;
    }
    for (const auto& [ids, bytes] : {std::pair{&c.users, user_bytes}, {&c.items, item_bytes}}) {
      if (ids->kind == IdColumn::Kind::i64) continue;
      ids->bytes.resize(bytes);
      ids->ends.resize(static_cast<std::size_t>(rows_));
    }
    careful_record();
  }
  const auto rows = static_cast<std::size_t>(rows_);
  for (IdColumn* ids : {&c.users, &c.items})
    if (ids->kind == IdColumn::Kind::i64) ids->numbers.resize(rows);
  if (!c.values.empty()) c.values.resize(rows);
  if (!c.weights.empty()) c.weights.resize(rows);
  if (!c.timestamps.empty()) c.timestamps.resize(rows);
}

// The first id of a column that is no number makes the column one of strings.
void Parser::push_id(IdColumn& ids, const CsvField& field, std::int64_t row) {
  const std::string_view text = field.quoted ? field.text : trimmed(field.text);
  std::int64_t number;
  if (ids.kind == IdColumn::Kind::i64) {
    if (parse_id(text, number)) {
      ids.numbers.resize(std::max(ids.numbers.size(), static_cast<std::size_t>(row) + 1));
      ids.numbers[static_cast<std::size_t>(row)] = number;
      return;
    }
    ids.numbers.resize(static_cast<std::size_t>(row));
    ids.make_text();
  }
  ids.push(text);
}

bool Parser::check_id(const CsvField& field, std::size_t column, Role role) {
  const std::string_view text = field.quoted ? field.text : trimmed(field.text);
  if (text.empty())
    bad(BadRecord::missing, field.begin,
        fmt::format("{} (column {}) is empty; expected an id", role_name(role), column + 1));
  else if (!is_utf8(text))
    bad(BadRecord::malformed, field.begin,
        named(column, role) + "; expected UTF-8 text without zero bytes");
  else
    return true;
  return false;
}

bool Parser::check_fields() {
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    if (!fields_[f].malformed) continue;
    bad(BadRecord::malformed, fields_[f].begin,
        fmt::format("column {} has text behind its closing quote; expected the delimiter "
                    "(a quote inside quotes is written twice)",
                    f + 1));
    return false;
  }
  return true;
}

void Parser::careful_record() {
  RatingChunk& c = out_.chunk;
  std::size_t next = pos_;
  tokenizer_.next(text_, next, fields_);
  if (too_long(next)) return;
  const auto r = static_cast<std::size_t>(rows_);
  const auto finish = [&] { pos_ = next; };
  if (fields_.size() == 1 && !fields_[0].quoted && trimmed(fields_[0].text).empty())
    return finish();
  if (fields_.size() != layout_.roles.size()) {
    bad(BadRecord::malformed, 0,
        fmt::format("{} fields; expected {} as in the first line", fields_.size(),
                    layout_.roles.size()));
    return finish();
  }
  if (!check_fields()) return finish();
  std::size_t user = 0, item = 0;
  for (std::size_t f = 0; f < fields_.size(); ++f) {
    const Role role = layout_.roles[f];
    const std::string_view text = trimmed(fields_[f].text);
    bool ok = true;
    switch (role) {
      case Role::user:
      case Role::item:
        (role == Role::user ? user : item) = f;
        if (!check_id(fields_[f], f, role)) return finish();
        break;
      case Role::value:
        ok = parse_value(text, c.values[r]);
        break;
      case Role::weight:
        ok = parse_value(text, c.weights[r]) && c.weights[r] >= 0;
        break;
      case Role::timestamp:
        ok = parse_timestamp(text, c.timestamps[r]);
        break;
      default:
        break;
    }
    if (!ok) {
      bad(why_no_number(text), fields_[f].begin,
          fmt::format("{}; expected {}", named(f, role), expected_of(role)));
      return finish();
    }
  }
  push_id(c.users, fields_[user], rows_);
  push_id(c.items, fields_[item], rows_);
  ++rows_;
  finish();
}

// "user item item …" of plain numbers: one row for each item.
const char* Parser::plain_list(const char* p) {
  RatingChunk& c = out_.chunk;
  if (c.users.kind != IdColumn::Kind::i64 || c.items.kind != IdColumn::Kind::i64) return nullptr;
  if (delimiter_.size() != 1) return nullptr;
  std::int64_t user = 0, item = 0;
  p = plain_id(p, user);
  while (p && *p == delimiter_[0]) {
    p = plain_id(p + 1, item);
    if (p) c.items.push(item);
  }
  if (!p) return nullptr;
  if (*p == '\r') ++p;
  if (*p != '\n' && p != text_.data() + text_.size()) return nullptr;
  c.users.numbers.resize(c.items.numbers.size(), user);
  return p + (*p == '\n');
}

void Parser::lists() {
  RatingChunk& c = out_.chunk;
  c.values.clear();
  c.weights.clear();
  c.timestamps.clear();
  while (pos_ < text_.size() && !stop_) {
    const std::size_t rows = c.items.numbers.size();
    if (const char* end = plain_list(text_.data() + pos_)) {
      const auto next = static_cast<std::size_t>(end - text_.data());
      if (too_long(next)) break;
      pos_ = next;
      continue;
    }
    c.items.numbers.resize(rows);
    careful_list();
  }
}

void Parser::careful_list() {
  RatingChunk& c = out_.chunk;
  std::size_t next = pos_;
  tokenizer_.next(text_, next, fields_);
  if (too_long(next)) return;
  bool ok = !(fields_.size() == 1 && trimmed(fields_[0].text).empty());
  for (std::size_t f = 0; ok && f < fields_.size(); ++f)
    ok = check_id(fields_[f], f, f ? Role::item : Role::user);
  for (std::size_t f = 1; ok && f < fields_.size(); ++f) {
    const std::int64_t row = c.rows();
    push_id(c.users, fields_[0], row);
    push_id(c.items, fields_[f], row);
  }
  pos_ = next;
}

}  // namespace

void parse_rating_text(std::string_view text, const TextLayout& layout,
                       const RatingReadOptions& options, ParsedText& out) {
  Parser parser(text, layout, options, out);
  layout.lists ? parser.lists() : parser.rows();
}

}  // namespace gradmill
