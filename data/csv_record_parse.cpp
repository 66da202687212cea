#include "data/csv_record_parse.h"

#include <cstring>

#include "data/bad_text_notes.h"
#include "data/text_fields.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const TextLayout& layout, const CsvRecordFields& fields,
         const RecordRules& rules, BadRecords mode, ParsedRecords& out)
      : text_(text),
        end_(text.data() + text.size()),
        layout_(layout),
        fields_(fields),
        rules_(rules),
        columns_(out.chunk.columns),
        rows_(out.chunk.rows),
        tokenizer_(layout.dialect),
        delimiter_(layout.dialect.delimiter),
        plain_(layout.dialect.delimiter != " "),
        notes_(text, mode == BadRecords::fail, out) {
    rules.restart(columns_);
    rows_ = 0;
  }

  void run() {
    while (pos_ < text_.size() && !notes_.stop()) {
      if (const char* end = plain_ ? plain_record(text_.data() + pos_) : nullptr) {
        const auto next = static_cast<std::size_t>(end - text_.data());
        if (notes_.too_long(pos_, next, layout_)) break;
        pos_ = next;
        ++rows_;
        continue;
      }
      for (RecordColumn& column : columns_) column.truncate(rows_);
      careful_record();
    }
    for (RecordColumn& column : columns_) column.truncate(rows_);
  }

 private:
  bool at_delimiter(const char* p) const {
    return *p == delimiter_[0] &&
           (delimiter_.size() == 1 || std::strncmp(p, delimiter_.data(), delimiter_.size()) == 0);
  }
  const char* at_line_end(const char* p) const {
    if (*p == '\r') ++p;
    if (*p == '\n') return p + 1;
    return p == end_ ? p : nullptr;
  }
  const char* plain_field(const char* p, std::size_t field, CsvRecordFields::Use const*& use);
  const char* plain_record(const char* p);
  void careful_record();

  std::string_view text_;
  const char* end_;
  const TextLayout& layout_;
  const CsvRecordFields& fields_;
  const RecordRules& rules_;
  std::vector<RecordColumn>& columns_;
  std::int64_t& rows_;
  CsvTokenizer tokenizer_;
  std::vector<CsvField> cut_;
  std::string_view delimiter_;
  bool plain_;
  std::size_t pos_ = 0;  // of the next record
  BadTextNotes notes_;
};

// A field without quotes; returns where it ends, or nullptr if the careful way must decide.
const char* Parser::plain_field(const char* p, std::size_t field,
                                CsvRecordFields::Use const*& use) {
  const CsvRecordFields::Use* const last = fields_.uses.data() + fields_.uses.size();
  if (*p == '"' && layout_.dialect.quotes) return nullptr;
  const bool used = use != last && use->field == field;
  const bool once = used && (use + 1 == last || use[1].field != field);
  if (once && rules_.columns()[use->column].kind == ColumnKind::number) {
    double number;
    const char* q = p;
    while (*q == ' ') ++q;
    q = plain_number(q, number);
    if (q && (at_delimiter(q) || at_line_end(q))) {
      if (number < 0 && rules_.columns()[use->column].non_negative) return nullptr;
      columns_[use->column].numbers.push_back(number);
      ++use;
      return q;
    }
  }
  const char* begin = p;
  const char first = delimiter_[0];
  while (*p != '\n' && !(*p == first && at_delimiter(p))) {
    if (*p == '\0') {
      if (p != end_) return nullptr;
      break;
    }
    ++p;
  }
  if (p > begin && p[-1] == '\r' && (*p == '\n' || p == end_)) --p;
  const std::string_view text(begin, static_cast<std::size_t>(p - begin));
  for (; use != last && use->field == field; ++use)
    if (rules_.put_text(use->column, text, false, columns_[use->column]) != FieldVerdict::good)
      return nullptr;
  return p;
}

const char* Parser::plain_record(const char* p) {
  const CsvRecordFields::Use* use = fields_.uses.data();
  for (std::size_t f = 0; f + 1 < fields_.count; ++f) {
    p = plain_field(p, f, use);
    if (!p || !at_delimiter(p)) return nullptr;
    p += delimiter_.size();
  }
  if (fields_.count == 1 && at_line_end(p)) return nullptr;  // a blank line
  p = plain_field(p, fields_.count - 1, use);
  return p ? at_line_end(p) : nullptr;
}

void Parser::careful_record() {
  const std::size_t begin = pos_;
  tokenizer_.next(text_, pos_, cut_);
  if (notes_.too_long(begin, pos_, layout_)) return;
  if (cut_.size() == 1 && !cut_[0].quoted && trimmed(cut_[0].text).empty()) return;
  if (cut_.size() != fields_.count)
    return notes_.add(
        BadRecord::malformed, begin,
        fmt::format("{} fields; expected {} as in the first line", cut_.size(), fields_.count));
  for (std::size_t f = 0; f < cut_.size(); ++f)
    if (cut_[f].malformed)
      return notes_.add(
          BadRecord::malformed, begin + cut_[f].begin,
          fmt::format("column {} has text behind its closing quote; expected the delimiter (a "
                      "quote inside quotes is written twice; if quotes mean nothing, say so: "
                      "quotes = false)",
                      f + 1));
  for (const auto& [field, column] : fields_.uses) {
    const CsvField& cut = cut_[field];
    const FieldVerdict verdict = rules_.put_text(column, cut.text, cut.quoted, columns_[column]);
    if (verdict == FieldVerdict::good) continue;
    notes_.add(why_refused(verdict), begin + cut.begin,
               rules_.message(column, verdict, trimmed(cut.text)));
    for (RecordColumn& c : columns_) c.truncate(rows_);
    return;
  }
  ++rows_;
}

}  // namespace

void parse_csv_records(std::string_view text, const TextLayout& layout,
                       const CsvRecordFields& fields, const RecordRules& rules, BadRecords mode,
                       ParsedRecords& out) {
  Parser(text, layout, fields, rules, mode, out).run();
}

}  // namespace gradmill
