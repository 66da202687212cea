#include "data/json_record_parse.h"

#include <algorithm>

#include "data/bad_text_notes.h"
#include "data/json_line.h"
#include "data/text_fields.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const TextLayout& layout, const RecordRules& rules, BadRecords mode,
         ParsedRecords& out)
      : text_(text),
        layout_(layout),
        rules_(rules),
        columns_(out.chunk.columns),
        rows_(out.chunk.rows),
        notes_(text, mode == BadRecords::fail, out),
        member_of_(rules.columns().size()) {
    rules.restart(columns_);
    rows_ = 0;
  }

  void run() {
    for (std::size_t begin = 0, next; begin < text_.size() && !notes_.stop(); begin = next) {
      const std::size_t newline = text_.find('\n', begin);
      next = newline == std::string_view::npos ? text_.size() : newline + 1;
      if (notes_.too_long(begin, next, layout_)) return;
      const std::string_view line = text_.substr(begin, next - begin);
      if (line.find_first_not_of(" \t\r\n") == std::string_view::npos) continue;
      const std::size_t last = line.find_last_not_of("\r\n") + 1;
      if (const JsonProblem problem = parser_.parse(line, members_); problem.what)
        notes_.add(BadRecord::malformed, begin + std::min(problem.at, last),
                   std::string(problem.what));
      else if (match(begin) && put(begin))
        ++rows_;
    }
  }

 private:
  bool match(std::size_t begin);
  bool put(std::size_t begin);
  FieldVerdict put_value(std::size_t column, const JsonValue& value);

  std::string_view text_;
  const TextLayout& layout_;
  const RecordRules& rules_;
  std::vector<RecordColumn>& columns_;
  std::int64_t& rows_;
  BadTextNotes notes_;
  JsonLine parser_;
  std::vector<JsonLine::Member> members_;
  std::vector<int> member_of_;  // [columns]: its member in this line, -1: none
  std::vector<std::string_view> names_;
  std::vector<int> likely_;  // [columns]: its member in the last line
};

// Members mostly come in the order of the line before, so each column looks there first.
bool Parser::match(std::size_t begin) {
  const auto& columns = rules_.columns();
  likely_.resize(columns.size(), -1);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::string& name = columns[c].name;
    const auto is = [&](std::size_t m) { return members_[m].name == name; };
    int found = -1;
    const auto likely = static_cast<std::size_t>(likely_[c]);
    if (likely_[c] >= 0 && likely < members_.size() && is(likely)) found = likely_[c];
    for (std::size_t m = 0; found < 0 && m < members_.size(); ++m)
      if (is(m)) found = static_cast<int>(m);
    member_of_[c] = found;
    if (found >= 0) likely_[c] = found;
  }
  names_.clear();
  for (const JsonLine::Member& member : members_) names_.push_back(member.name);
  std::sort(names_.begin(), names_.end());
  const auto twice = std::adjacent_find(names_.begin(), names_.end());
  if (twice == names_.end()) return true;
  notes_.add(BadRecord::malformed, begin,
             fmt::format("member {} is there twice", quoted_field(*twice)));
  return false;
}

FieldVerdict Parser::put_value(std::size_t column, const JsonValue& value) {
  using Kind = JsonValue::Kind;
  RecordColumn& to = columns_[column];
  const bool number = to.kind == ColumnKind::number;
  switch (value.kind) {
    case Kind::absent:
    case Kind::null:
      return rules_.put_missing(column, to);
    case Kind::boolean:
      return number ? rules_.put_number(column, value.text == "true", to)
                    : rules_.put_text(column, value.text, true, to);
    case Kind::string:
      if (number && !rules_.is_missing(value.text)) return FieldVerdict::no_number;
      return rules_.put_text(column, value.text, true, to);
    case Kind::nested:
      return number ? FieldVerdict::no_number : FieldVerdict::no_text;
    default:
      break;
  }
  double fast;
  if (number) {  // a line ends with a newline or a '\0', so the digits end too
    const char* end = plain_number(value.text.data(), fast);
    if (end == value.text.data() + value.text.size()) return rules_.put_number(column, fast, to);
  }
  return rules_.put_text(column, value.text, true, to);
}

bool Parser::put(std::size_t begin) {
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const JsonValue value =
        member_of_[c] < 0 ? JsonValue{} : members_[static_cast<std::size_t>(member_of_[c])].value;
    const FieldVerdict verdict = put_value(c, value);
    if (verdict == FieldVerdict::good) continue;
    notes_.add(why_refused(verdict), begin + value.begin, rules_.message(c, verdict, value.text));
    for (RecordColumn& column : columns_) column.truncate(rows_);
    return false;
  }
  return true;
}

}  // namespace

void parse_json_records(std::string_view text, const TextLayout& layout, const RecordRules& rules,
                        BadRecords mode, ParsedRecords& out) {
  Parser(text, layout, rules, mode, out).run();
}

}  // namespace gradmill
