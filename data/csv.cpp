#include "data/csv.h"

#include <algorithm>

namespace gradmill {
namespace {

constexpr auto npos = std::string_view::npos;

bool starts_with_at(std::string_view text, std::size_t pos, std::string_view what) {
  return text.compare(pos, what.size(), what) == 0;
}

}  // namespace

CsvField CsvTokenizer::quoted_field(std::string_view text, std::size_t& pos) {
  CsvField field;
  field.quoted = true;
  std::string* unescaped = nullptr;
  std::size_t begin = ++pos;  // behind the quote
  for (;;) {
    const std::size_t quote = text.find('"', pos);
    if (quote == npos) {
      field.malformed = true;
      field.text = text.substr(begin);
      pos = text.size();
      break;
    }
    if (quote + 1 == text.size() || text[quote + 1] != '"') {
      field.text = text.substr(begin, quote - begin);
      pos = quote + 1;
      break;
    }
    if (!unescaped) {
      if (unescaped_used_ == unescaped_.size()) unescaped_.emplace_back();
      unescaped = &unescaped_[unescaped_used_++];
      unescaped->clear();
    }
    unescaped->append(text.substr(begin, quote + 1 - begin));
    begin = pos = quote + 2;
  }
  if (unescaped) {
    unescaped->append(field.text);
    field.text = *unescaped;
  }
  return field;
}

bool CsvTokenizer::next(std::string_view text, std::size_t& pos, std::vector<CsvField>& fields) {
  fields.clear();
  if (pos >= text.size()) return false;
  unescaped_used_ = 0;
  const std::string_view delimiter = dialect_.delimiter;
  const bool blanks = delimiter == " ";
  const std::size_t record = pos;
  for (;;) {
    while (blanks && pos < text.size() && text[pos] == ' ') ++pos;
    CsvField field;
    const std::size_t begin = pos;
    if (dialect_.quotes && pos < text.size() && text[pos] == '"') field = quoted_field(text, pos);
    const std::size_t rest = pos;
    while (pos < text.size() && text[pos] != '\n' &&
           !(text[pos] == delimiter[0] && starts_with_at(text, pos, delimiter)))
      ++pos;
    std::size_t end = pos;
    const bool last = pos == text.size() || text[pos] == '\n';
    if (last && end > rest && text[end - 1] == '\r') --end;
    if (!field.quoted) field.text = text.substr(rest, end - rest);
    if (field.quoted && end > rest) field.malformed = true;
    field.begin = begin - record;
    if (!(blanks && last && end == begin && !fields.empty())) fields.push_back(field);
    if (last) {
      if (pos < text.size()) ++pos;
      return true;
    }
    pos += delimiter.size();
  }
}

std::size_t CsvRecordEnds::scan(std::string_view text, bool is_all, std::size_t stop_at) {
  while (position_ < text.size() && last_end_ < stop_at) {
    if (position_ ==
        last_end_) {  // at the beginning of a record: up to a quote, newlines end records
      const std::size_t quote = dialect_.quotes ? text.find('"', position_) : npos;
      const std::size_t limit = std::min(quote, text.size());
      std::size_t newline = stop_at <= limit ? text.find('\n', stop_at - 1) : npos;
      if (newline >= limit) newline = text.rfind('\n', limit - (limit > 0));
      if (newline != npos && newline >= position_ && newline < limit)
        position_ = last_end_ = newline + 1;
      if (last_end_ >= stop_at || quote == npos) break;
    }
    scan_record(text, is_all);
    if (position_ != last_end_) break;  // the record goes on behind this text
  }
  return last_end_;
}

// Goes on to the next record end, or as far as the text allows.
void CsvRecordEnds::scan_record(std::string_view text, bool is_all) {
  const std::string_view delimiter = dialect_.delimiter;
  while (position_ < text.size()) {
    const char c = text[position_];
    if (state_ == State::quoted) {
      const std::size_t quote = text.find('"', position_);
      position_ = quote == npos ? text.size() : quote;
      if (quote == npos || (quote + 1 == text.size() && !is_all)) return;
      const bool doubled = quote + 1 < text.size() && text[quote + 1] == '"';
      position_ += doubled ? 2 : 1;
      if (!doubled) state_ = State::unquoted;
    } else if (c == '\n') {
      last_end_ = ++position_;
      state_ = State::field_start;
      return;
    } else if (c == '"' && state_ == State::field_start && dialect_.quotes) {
      ++position_;
      state_ = State::quoted;
    } else if (c == delimiter[0]) {
      if (position_ + delimiter.size() > text.size() && !is_all) return;
      const bool whole = starts_with_at(text, position_, delimiter);
      position_ += whole ? delimiter.size() : 1;
      state_ = whole ? State::field_start : State::unquoted;
    } else {
      ++position_;
      state_ = State::unquoted;
    }
  }
}

}  // namespace gradmill
