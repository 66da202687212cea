#include "data/bad_text_notes.h"

#include <fmt/format.h>

#include <algorithm>

namespace gradmill {

constexpr std::size_t kMaxExamples = 10;

BadTextNotes::BadTextNotes(std::string_view text, bool fail, ParsedLines& out)
    : text_(text), fail_(fail), out_(out) {
  out.lines = std::count(text.begin(), text.end(), '\n');
  out.bad = 0;
  out.bad_by = {};
  out.examples.clear();
  out.too_long = false;
}

void BadTextNotes::add(BadRecord why, std::size_t at, std::string what) {
  ++out_.bad;
  ++out_.bad_by[static_cast<std::size_t>(why)];
  stop_ = stop_ || fail_;
  if (out_.examples.size() >= kMaxExamples) return;
  line_ += std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                      text_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  counted_ = at;
  const std::size_t newline = at ? text_.rfind('\n', at - 1) : std::string_view::npos;
  const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  out_.examples.push_back({why, line_, static_cast<std::int64_t>(at - begin) + 1, std::move(what)});
}

bool BadTextNotes::too_long(std::size_t begin, std::size_t end, const TextLayout& layout) {
  if (end - begin <= layout.max_line_bytes + 1) [[likely]]
    return false;
  if (out_.examples.size() == kMaxExamples) out_.examples.pop_back();
  add(BadRecord::malformed, begin, std::string(layout.too_long));
  return stop_ = out_.too_long = true;
}

std::string quoted_field(std::string_view text) {
  std::string shown(text.substr(0, 40));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) >= 127) c = '?';
  return fmt::format("\"{}\"{}", shown, text.size() > 40 ? "…" : "");
}

}  // namespace gradmill
