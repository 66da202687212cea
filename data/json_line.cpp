#include "data/json_line.h"

#include "data/utf8.h"

namespace gradmill {
namespace {

constexpr int kMaxDepth = 256;

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

}  // namespace

bool JsonLine::fail(const char* what) {
  problem_ = {what, pos_};
  return false;
}

void JsonLine::blanks() {
  while (pos_ < line_.size() &&
         (line_[pos_] == ' ' || line_[pos_] == '\t' || line_[pos_] == '\r' || line_[pos_] == '\n'))
    ++pos_;
}

bool JsonLine::hex4(unsigned& code) {
  if (line_.size() - pos_ < 4) return fail("\\u needs four hexadecimal digits");
  code = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = line_[pos_];
    const unsigned digit = is_digit(c)            ? static_cast<unsigned>(c - '0')
                           : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10
                           : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10
                                                  : 16;
    if (digit > 15) return fail("\\u needs four hexadecimal digits");
    code = code << 4 | digit;
    ++pos_;
  }
  return true;
}

// Behind a backslash.
bool JsonLine::escape(std::string& to) {
  if (pos_ == line_.size()) return fail("a string is not closed");
  const char c = line_[pos_++];
  switch (c) {
    case '"':
    case '\\':
    case '/':
      to += c;
      return true;
    case 'b':
      to += '\b';
      return true;
    case 'f':
      to += '\f';
      return true;
    case 'n':
      to += '\n';
      return true;
    case 'r':
      to += '\r';
      return true;
    case 't':
      to += '\t';
      return true;
    case 'u':
      break;
    default:
      --pos_;
      return fail("no such escape");
  }
  unsigned code;
  if (!hex4(code)) return false;
  if (code >= 0xD800 && code < 0xDC00) {
    unsigned low = 0;
    if (line_.compare(pos_, 2, "\\u") != 0) return fail("half of a surrogate pair");
    pos_ += 2;
    if (!hex4(low)) return false;
    if (low < 0xDC00 || low > 0xDFFF) return fail("half of a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code < 0xE000) {
    return fail("half of a surrogate pair");
  }
  append_utf8(code, to);
  return true;
}

// At the opening quote.
bool JsonLine::string(std::string_view& text) {
  std::size_t begin = ++pos_;
  const std::size_t kept = unescaped_.size();
  bool escaped = false;
  for (; pos_ < line_.size(); ++pos_) {
    const char c = line_[pos_];
    if (c == '"') break;
    if (static_cast<unsigned char>(c) < 0x20) return fail("a control character within a string");
    if (c != '\\') continue;
    escaped = true;
    unescaped_.append(line_.substr(begin, pos_ - begin));
    ++pos_;
    if (!escape(unescaped_)) return false;
    begin = pos_--;
  }
  if (pos_ >= line_.size()) return fail("a string is not closed");
  text = line_.substr(begin, pos_ - begin);
  if (escaped) {
    unescaped_.append(text);
    text = std::string_view(unescaped_).substr(kept);
  }
  ++pos_;
  return true;
}

bool JsonLine::number(std::string_view& text) {
  const std::size_t begin = pos_;
  const auto digits = [&] {
    const std::size_t first = pos_;
    while (pos_ < line_.size() && is_digit(line_[pos_])) ++pos_;
    return pos_ > first;
  };
  const auto at = [&](char c) { return pos_ < line_.size() && line_[pos_] == c; };
  if (at('-')) ++pos_;
  if (line_.substr(pos_).starts_with("Infinity")) {
    pos_ += 8;
    text = line_.substr(begin, pos_ - begin);
    return true;
  }
  const bool zero = at('0');
  const std::size_t first = pos_;
  if (!digits() || (zero && pos_ - first > 1)) return fail("no number");
  if (at('.')) {
    ++pos_;
    if (!digits()) return fail("no number");
  }
  if (at('e') || at('E')) {
    ++pos_;
    if (at('+') || at('-')) ++pos_;
    if (!digits()) return fail("no number");
  }
  text = line_.substr(begin, pos_ - begin);
  return true;
}

bool JsonLine::word(std::string_view& text) {
  for (const std::string_view known : {"true", "false", "null", "NaN", "Infinity"})
    if (line_.substr(pos_).starts_with(known)) {
      text = line_.substr(pos_, known.size());
      pos_ += known.size();
      return true;
    }
  return fail("expected a value");
}

// Passes over an object or a list; its strings are checked, its grammar is not.
bool JsonLine::nested() {
  std::string open;  // brackets not closed yet
  const std::size_t kept = unescaped_.size();
  do {
    if (pos_ == line_.size()) return fail("an object or a list is not closed");
    const char c = line_[pos_];
    if (c == '"') {
      std::string_view passed;
      if (!string(passed)) return false;
      unescaped_.resize(kept);
      continue;
    }
    if (c == '{' || c == '[') {
      if (open.size() == kMaxDepth) return fail("nested more than 256 deep");
      open += c;
    } else if (c == '}' || c == ']') {
      if (open.back() != (c == '}' ? '{' : '[')) return fail("brackets do not match");
      open.pop_back();
    }
    ++pos_;
  } while (!open.empty());
  return true;
}

bool JsonLine::value(JsonValue& value) {
  value.begin = pos_;
  if (pos_ == line_.size()) return fail("expected a value");
  const char c = line_[pos_];
  if (c == '"') {
    value.kind = JsonValue::Kind::string;
    return string(value.text);
  }
  if (c == '{' || c == '[') {
    value.kind = JsonValue::Kind::nested;
    if (!nested()) return false;
    value.text = line_.substr(value.begin, pos_ - value.begin);
    return true;
  }
  value.kind = JsonValue::Kind::number;
  if (c == '-' || is_digit(c)) return number(value.text);
  if (!word(value.text)) return false;
  if (value.text == "null") value.kind = JsonValue::Kind::null;
  if (value.text == "true" || value.text == "false") value.kind = JsonValue::Kind::boolean;
  return true;
}

JsonProblem JsonLine::parse(std::string_view line, std::vector<Member>& members) {
  line_ = line;
  pos_ = 0;
  problem_ = {};
  members.clear();
  unescaped_.clear();
  if (unescaped_.capacity() < line.size()) unescaped_.reserve(line.size());
  const auto at = [&](char c) { return pos_ < line_.size() && line_[pos_] == c; };
  blanks();
  if (!at('{')) return fail("expected an object {…} on each line"), problem_;
  ++pos_;
  blanks();
  if (at('}')) {
    ++pos_;
  } else {
    for (;;) {
      Member& member = members.emplace_back();
      if (!at('"')) return fail("expected the name of a member in quotes"), problem_;
      if (!string(member.name)) return problem_;
      blanks();
      if (!at(':')) return fail("expected ':'"), problem_;
      ++pos_;
      blanks();
      if (!value(member.value)) return problem_;
      blanks();
      if (at('}')) break;
      if (!at(',')) return fail("expected ',' or '}'"), problem_;
      ++pos_;
      blanks();
    }
    ++pos_;
  }
  blanks();
  if (pos_ != line_.size()) fail("text behind the object");
  return problem_;
}

}  // namespace gradmill
