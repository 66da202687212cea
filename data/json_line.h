// One line of JSON lines: a flat object, read without building it (RFC 8259).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

struct JsonValue {
  enum class Kind : std::uint8_t {
    absent,
    null,
    boolean,  // text is "true" or "false"
    number,   // text as written; also the words NaN, Infinity and -Infinity, which Python writes
    string,   // text without escapes, in UTF-8 if the line is
    nested    // an object or a list; text as written
  } kind = Kind::absent;
  std::string_view text;
  std::size_t begin = 0;  // byte of the line
};

/// Why a line is refused: `what` is null if it is not.
struct JsonProblem {
  const char* what = nullptr;
  std::size_t at = 0;  // byte of the line
};

class JsonLine {
 public:
  struct Member {
    std::string_view name;
    JsonValue value;
  };
  /// Reads the members of the object that the line is. Texts with escapes are in memory of this object;
  /// all are valid until the next call.
  JsonProblem parse(std::string_view line, std::vector<Member>& members);

 private:
  bool fail(const char* what);
  void blanks();
  bool string(std::string_view& text);
  bool escape(std::string& to);
  bool hex4(unsigned& code);
  bool number(std::string_view& text);
  bool word(std::string_view& text);
  bool value(JsonValue& value);
  bool nested();

  std::string_view line_;
  std::size_t pos_ = 0;
  JsonProblem problem_;
  std::string unescaped_;  // reserved for a whole line, so that views into it stay
};

}  // namespace gradmill
