#include "data/record_rules.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/bad_text_notes.h"
#include "data/text_fields.h"
#include "data/utf8.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr double kMaxFloat = std::numeric_limits<float>::max();

FieldVerdict check_number(const ColumnSpec& column, double number) {
  if (!std::isfinite(number)) return FieldVerdict::not_finite;
  if (std::abs(number) > kMaxFloat) return FieldVerdict::out_of_range;
  return number < 0 && column.non_negative ? FieldVerdict::negative : FieldVerdict::good;
}

std::string_view without_end(std::string_view text, const std::string& characters) {
  const std::size_t last = text.find_last_not_of(characters);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

std::string joined(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 50;
  std::string all;
  for (std::size_t n = 0; n < names.size() && n < kShown; ++n) {
    if (n > 0) all += ", ";
    all += names[n];
  }
  return names.size() > kShown ? all + ", …" : all;
}

}  // namespace

RecordRules::RecordRules(std::vector<ColumnSpec> columns, const std::vector<std::string>& missing)
    : columns_(std::move(columns)), missing_(missing) {
  for (const std::string& text : missing_) {
    if (text.empty()) continue;
    missing_starts_[static_cast<unsigned char>(text[0])] = true;
    longest_missing_ = std::max(longest_missing_, text.size());
  }
}

void RecordRules::restart(std::vector<RecordColumn>& columns) const {
  columns.resize(columns_.size());
  for (std::size_t c = 0; c < columns.size(); ++c) columns[c].restart(columns_[c].kind);
}

bool RecordRules::is_missing(std::string_view text) const {
  if (text.empty()) return true;
  if (!missing_starts_[static_cast<unsigned char>(text[0])] || text.size() > longest_missing_)
    return false;
  return std::find(missing_.begin(), missing_.end(), text) != missing_.end();
}

FieldVerdict RecordRules::put_missing(std::size_t column, RecordColumn& to) const {
  if (columns_[column].required) return FieldVerdict::missing;
  if (to.kind == ColumnKind::number)
    to.numbers.push_back(RecordColumn::kMissing);
  else
    to.texts.push(std::string_view());
  return FieldVerdict::good;
}

FieldVerdict RecordRules::put_own_text(std::size_t column, std::string_view text,
                                       RecordColumn& to) const {
  const ColumnSpec& spec = columns_[column];
  if (!spec.strip.empty()) {
    text = without_end(text, spec.strip);
    if (text.empty()) return put_missing(column, to);
  }
  if (!is_utf8(text)) return FieldVerdict::not_utf8;
  if (!spec.allowed.empty() && !std::binary_search(spec.allowed.begin(), spec.allowed.end(), text))
    return FieldVerdict::not_allowed;
  to.texts.push(text);
  return FieldVerdict::good;
}

FieldVerdict RecordRules::put_text(std::size_t column, std::string_view text, bool quoted,
                                   RecordColumn& to) const {
  const std::string_view inner = quoted ? text : trimmed(text);
  if (is_missing(inner)) return put_missing(column, to);
  const ColumnSpec& spec = columns_[column];
  if (to.kind == ColumnKind::text) return put_own_text(column, spec.keep_blanks ? text : inner, to);
  double number = 0;
  FieldVerdict verdict = parse_number(trimmed(inner), number);
  if (verdict == FieldVerdict::good) verdict = check_number(spec, number);
  if (verdict == FieldVerdict::good) to.numbers.push_back(number);
  return verdict;
}

FieldVerdict RecordRules::put_number(std::size_t column, double number, RecordColumn& to) const {
  if (std::isnan(number) && is_missing("NaN")) return put_missing(column, to);
  const FieldVerdict verdict = check_number(columns_[column], number);
  if (verdict != FieldVerdict::good) return verdict;
  if (to.kind == ColumnKind::text) return put_own_text(column, fmt::format("{}", number), to);
  to.numbers.push_back(number);
  return verdict;
}

FieldVerdict RecordRules::put_integer(std::size_t column, std::int64_t number,
                                      RecordColumn& to) const {
  if (to.kind == ColumnKind::number) return put_number(column, static_cast<double>(number), to);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  return put_own_text(column, {digits, static_cast<std::size_t>(end - digits)}, to);
}

std::string RecordRules::message(std::size_t column, FieldVerdict verdict,
                                 std::string_view shown) const {
  const ColumnSpec& spec = columns_[column];
  std::string found = shown.empty() ? "is missing" : fmt::format("is {}", quoted_field(shown));
  if (verdict == FieldVerdict::missing && !shown.empty())
    found = fmt::format("is missing ({})", quoted_field(shown));
  std::string expected = spec.kind == ColumnKind::number ? "a number" : "a text";
  if (verdict == FieldVerdict::no_number)
    expected += " (in a categorical or hashed column any text may stand)";
  if (verdict == FieldVerdict::not_finite || verdict == FieldVerdict::out_of_range)
    expected = "a finite number that a float can hold";
  if (verdict == FieldVerdict::negative) expected = "a number of at least 0";
  if (verdict == FieldVerdict::not_utf8) expected = "UTF-8 text without zero bytes";
  if (verdict == FieldVerdict::not_allowed)
    expected = fmt::format("one of {}", joined(spec.allowed));
  return fmt::format("column \"{}\" {}; expected {}", spec.name, found, expected);
}

BadRecord why_refused(FieldVerdict verdict) {
  switch (verdict) {
    case FieldVerdict::missing:
      return BadRecord::missing;
    case FieldVerdict::not_finite:
      return BadRecord::non_finite;
    case FieldVerdict::out_of_range:
    case FieldVerdict::negative:
    case FieldVerdict::not_allowed:
      return BadRecord::out_of_range;
    default:
      return BadRecord::malformed;
  }
}

FieldVerdict parse_number(std::string_view text, double& number) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char *begin = text.data(), *stop = begin + text.size();
  const auto [end, status] = std::from_chars(begin, stop, number);
  if (end != stop || status == std::errc::invalid_argument) return FieldVerdict::no_number;
  if (status == std::errc::result_out_of_range) {
    long double wide = 0;  // too small for a double, or too large
    const auto again = std::from_chars(begin, stop, wide);
    if (again.ec != std::errc{} || std::abs(wide) > 1) return FieldVerdict::out_of_range;
    number = 0;
  }
  if (!std::isfinite(number)) return FieldVerdict::not_finite;
  return std::abs(number) > kMaxFloat ? FieldVerdict::out_of_range : FieldVerdict::good;
}

ColumnKind kind_of_values(const RecordRules& rules, const std::vector<std::string_view>& values) {
  bool any = false;
  for (const std::string_view value : values) {
    const std::string_view text = trimmed(value);
    if (rules.is_missing(text)) continue;
    double number;
    const FieldVerdict verdict = parse_number(text, number);
    if (verdict == FieldVerdict::no_number || verdict == FieldVerdict::not_finite)
      return ColumnKind::text;
    any = true;
  }
  return any ? ColumnKind::number : ColumnKind::text;
}

std::size_t find_column(const std::string& where, const std::vector<std::string>& names,
                        const std::string& asked) {
  const auto found = std::find(names.begin(), names.end(), asked);
  if (found == names.end()) {
    std::size_t position = 0;
    const auto [end, status] = std::from_chars(asked.data(), asked.data() + asked.size(), position);
    if (status == std::errc{} && end == asked.data() + asked.size() && position >= 1 &&
        position <= names.size())
      return position - 1;
    fail(ErrorKind::data, "{}: there is no column \"{}\"; there are: {}", where, asked,
         joined(names));
  }
  expect(std::find(found + 1, names.end(), asked) == names.end(), ErrorKind::data,
         "{}: several columns are called \"{}\"; name them apart, or give the position (from 1)",
         where, asked);
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace gradmill
