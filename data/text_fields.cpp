#include "data/text_fields.h"

#include <charconv>
#include <cmath>

#include "runtime/expect.h"

namespace gradmill {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string quoted(std::string_view text) {
  std::string shown(text.substr(0, 40));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) >= 127) c = '?';
  return fmt::format("\"{}\"{}", shown, text.size() > 40 ? "…" : "");
}

bool parse_value(std::string_view text, float& value) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char *begin = text.data(), *stop = begin + text.size();
  auto [end, status] = std::from_chars(begin, stop, value);
  if (status == std::errc::result_out_of_range) {
    double wide = 0;  // too small for a float, or too large
    const auto again = std::from_chars(begin, stop, wide);
    value = static_cast<float>(wide);
    if (again.ec != std::errc{} || std::abs(wide) > 1) return false;
  } else if (status != std::errc{}) {
    return false;
  }
  return end == stop && std::isfinite(value);
}

bool parse_timestamp(std::string_view text, std::int64_t& timestamp) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char *begin = text.data(), *stop = begin + text.size();
  const auto [end, status] = std::from_chars(begin, stop, timestamp);
  if (status != std::errc{} || end == stop) return status == std::errc{};
  double fraction;
  const auto [fraction_end, fraction_status] =
      std::from_chars(end, stop, fraction, std::chars_format::fixed);
  return *end == '.' &&
         (end + 1 == stop || (fraction_status == std::errc{} && fraction_end == stop));
}

BadRecord why_no_number(std::string_view text) {
  double number;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty()) return BadRecord::missing;
  if (status == std::errc::invalid_argument || end != text.data() + text.size())
    return BadRecord::malformed;
  return status == std::errc{} && !std::isfinite(number) ? BadRecord::non_finite
                                                         : BadRecord::out_of_range;
}

}  // namespace gradmill
