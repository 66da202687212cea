// Texts -> tokens -> terms (runs of tokens) for the hashing of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

enum class TokenizerKind : std::uint8_t {
  spark,  // Spark's Tokenizer: lower-case, then Java's split("\\s"): a token between each two of the
  // characters blank, \t, \n, \v, \f, \r; so empty tokens too, but none at the end; "" is one empty token
  words  // lower-case; runs of ASCII letters, digits and all characters above U+007F
};

/// Memory is kept from text to text; one for each thread.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerKind kind) : kind_(kind) {}

  void cut(std::string_view text);
  std::size_t size() const { return begins_.size(); }
  std::string_view token(std::size_t i) const { return run(i, 1); }
  /// Tokens i, i + 1, … i + count - 1, joined by a blank.
  std::string_view run(std::size_t i, std::size_t count) const {
    return std::string_view(text_).substr(begins_[i], ends_[i + count - 1] - begins_[i]);
  }

 private:
  void cut_at_blanks();
  void cut_words();
  TokenizerKind kind_;
  std::string lower_, text_;  // text_: tokens with a blank between each two
  std::vector<std::size_t> begins_, ends_;
};

}  // namespace gradmill
