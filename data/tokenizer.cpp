#include "data/tokenizer.h"

#include <array>

#include "data/lower_case.h"

namespace gradmill {
namespace {

constexpr std::array<bool, 256> kIsBlank = [] {
  std::array<bool, 256> blank{};
  for (const unsigned char c : {' ', '\t', '\n', '\v', '\f', '\r'}) blank[c] = true;
  return blank;
}();

constexpr std::array<bool, 256> kIsWord = [] {
  std::array<bool, 256> word{};
  for (int c = 0; c < 256; ++c)
    word[static_cast<std::size_t>(c)] =
        c >= 128 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return word;
}();

}  // namespace

void Tokenizer::cut(std::string_view text) {
  begins_.clear();
  ends_.clear();
  text_.clear();
  if (kind_ == TokenizerKind::spark) {
    append_lower_case(text, text_);
    cut_at_blanks();
  } else {
    lower_.clear();
    append_lower_case(text, lower_);
    cut_words();
  }
}

void Tokenizer::cut_at_blanks() {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (!kIsBlank[static_cast<unsigned char>(text_[i])]) continue;
    text_[i] = ' ';
    begins_.push_back(begin);
    ends_.push_back(i);
    begin = i + 1;
  }
  begins_.push_back(begin);
  ends_.push_back(text_.size());
  if (begins_.size() == 1) return;  // without a blank, even "" is a token
  while (!begins_.empty() && begins_.back() == ends_.back()) {
    begins_.pop_back();
    ends_.pop_back();
  }
}

void Tokenizer::cut_words() {
  const auto is_word = [&](std::size_t i) {
    return kIsWord[static_cast<unsigned char>(lower_[i])];
  };
  for (std::size_t i = 0; i < lower_.size();) {
    if (!is_word(i)) {
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    while (end < lower_.size() && is_word(end)) ++end;
    if (!text_.empty()) text_ += ' ';
    begins_.push_back(text_.size());
    text_.append(lower_, i, end - i);
    ends_.push_back(text_.size());
    i = end;
  }
}

}  // namespace gradmill
