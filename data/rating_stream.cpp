#include "data/rating_stream.h"

#include <charconv>

namespace gradmill {

void IdColumn::make_text() {
  if (kind == Kind::string) return;
  kind = Kind::string;
  char digits[24];
  for (const std::int64_t id : numbers) {
    const auto end = std::to_chars(digits, digits + sizeof digits, id).ptr;
    push(std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }
  numbers.clear();
}

bool parse_id(std::string_view text, std::int64_t& id) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || (digits[0] == '0' && text.size() > 1)) return false;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), id);
  return status == std::errc{} && end == text.data() + text.size();
}

}  // namespace gradmill
