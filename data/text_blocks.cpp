#include "data/text_blocks.h"

#include <algorithm>

#include "runtime/expect.h"

namespace gradmill {

constexpr std::int64_t kSearchBytes = 1 << 20;

TextBlocks::TextBlocks(std::string path, const TextLayout& layout, std::int64_t begin,
                       std::int64_t end, std::int64_t block_bytes)
    : path_(std::move(path)),
      ends_(layout.dialect),
      max_line_bytes_(layout.max_line_bytes),
      too_long_(layout.too_long),
      block_bytes_(block_bytes),
      source_(open_byte_source(path_)),
      position_(layout.data_begin),
      end_(begin) {
  // No more room than the file can fill; one byte more shows that it ends.
  const FileSize size = file_size(path_);
  const std::int64_t most = size.is_gzip ? TextBlocks::kToTheEnd : size.bytes + 1;
  source_->skip(position_);
  if (begin > position_) {
    if (!layout.dialect.quotes) {  // any newline ends a record: begin behind the next one
      source_->skip(begin - 1 - position_);
      position_ = begin - 1;
    }
    block_bytes_ = std::min(kSearchBytes, most);
    for (TextBlock passed; next(passed);) continue;
  }
  block_bytes_ = std::min(block_bytes, most);
  end_ = end;
}

void TextBlocks::refuse(std::int64_t offset, std::string_view why) const {
  fail(ErrorKind::data, "{}:{}: {}", path_, count_newlines(path_, offset) + 1, why);
}

bool TextBlocks::next(TextBlock& block) {
  if (position_ >= end_) return false;
  std::string& text = block.text;
  text.swap(rest_);
  block.offset = position_;
  const auto stop_at =
      static_cast<std::size_t>(std::min<std::int64_t>(end_ - position_, std::int64_t{1} << 62));
  auto target = static_cast<std::size_t>(block_bytes_);
  std::size_t end = 0;
  for (ends_.restart();;) {
    const std::size_t had = text.size();
    if (had < target && !source_ended_) {
      text.resize(target);
      text.resize(had + source_->read(text.data() + had, target - had));
      source_ended_ = text.size() < target;
    }
    end = ends_.scan(text, source_ended_, stop_at);
    if (end >= stop_at) break;
    if (text.size() - end > max_line_bytes_ + 1)
      refuse(position_ + static_cast<std::int64_t>(end), too_long_);
    if (source_ended_) {
      if (end < text.size() && ends_.in_quotes())
        refuse(
            position_ + static_cast<std::int64_t>(end),
            "a quote that is opened in this record is never closed (if quotes mean nothing in this "
            "file, say so: quotes = false)");
      end = text.size();
      break;
    }
    if (end > 0) break;
    target = text.size() + std::max(text.size(), std::size_t{1} << 16);
  }
  rest_.assign(text, end);
  text.resize(end);
  position_ += static_cast<std::int64_t>(end);
  return end > 0;
}

}  // namespace gradmill
