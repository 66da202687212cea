#include "data/text_pieces.h"

#include <algorithm>

#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::size_t kMaxExamples = 10;
constexpr std::int64_t kLineGuess = 1 << 12;

}  // namespace

void share_out(std::vector<TextFile>& files, int part, int parts) {
  expect(parts >= 1 && part >= 0 && part < parts, ErrorKind::usage, "part {} of {} does not exist",
         part, parts);
  if (parts == 1) return;
  std::vector<std::int64_t> sizes;
  std::int64_t total = 0;
  for (const TextFile& file : files) {
    sizes.push_back(byte_source_size(file.path));
    total += sizes.back();
  }
  const auto cut = [&](int p) {
    return static_cast<std::int64_t>(static_cast<__int128>(total) * p / parts);
  };
  const std::int64_t begin = cut(part), end = cut(part + 1);
  std::int64_t before = 0;
  for (std::size_t f = 0; f < files.size(); ++f) {
    files[f].begin = std::clamp<std::int64_t>(begin - before, 0, sizes[f]);
    files[f].end = std::clamp<std::int64_t>(end - before, 0, sizes[f]);
    before += sizes[f];
  }
}

TextPieces::TextPieces(std::vector<TextFile> files, int threads, std::int64_t chunk_rows,
                       double max_bytes, Parse parse)
    : files_(std::move(files)),
      chunk_rows_(chunk_rows),
      max_bytes_(max_bytes),
      parse_(std::move(parse)),
      pool_(threads),
      pieces_(static_cast<std::size_t>(threads)) {}

std::int64_t TextPieces::bytes_of_piece(const TextFile& file) const {
  const double bytes = static_cast<double>(chunk_rows_) * file.layout.record_bytes;
  return static_cast<std::int64_t>(std::clamp(bytes, 1.0, max_bytes_));
}

// Lines can be found from anywhere in a file without quotes, so each thread reads its own piece;
// quotes and gzip need all that stands before.
bool TextPieces::take(Piece& piece) {
  for (; file_ < files_.size(); ++file_, blocks_.reset(), input_.reset()) {
    const TextFile& file = files_[file_];
    if (!file.layout.has_rows || file.begin >= file.end) continue;
    piece.file = file_;
    piece.failure = nullptr;
    if (!blocks_ && !input_) {
      if (file.layout.dialect.quotes || file_size(file.path).is_gzip) {
        blocks_ = std::make_unique<TextBlocks>(file.path, file.layout, file.begin, file.end,
                                               bytes_of_piece(file));
      } else {
        input_ = std::make_shared<InputFile>(InputFile::open_following_links(file.path));
        position_ = std::max(file.begin, file.layout.data_begin);
      }
    }
    if (blocks_) {
      if (!blocks_->next(piece.block)) continue;
      piece.input.reset();
      piece.text = piece.block.text;
      return true;
    }
    const std::int64_t end = std::min(file.end, input_->size());
    if (position_ >= end) continue;
    piece.input = input_;
    piece.begin = position_;
    piece.end = position_ =
        end - position_ > bytes_of_piece(file) ? position_ + bytes_of_piece(file) : end;
    return true;
  }
  return false;
}

// Sets piece.text to the lines that begin in [piece.begin, piece.end); empty if there are none.
void TextPieces::read_range(Piece& piece) const {
  const TextFile& file = files_[piece.file];
  std::string& buffer = piece.block.text;
  const auto refuse = [&](std::int64_t offset) {
    fail(ErrorKind::data, "{}:{}: {}", file.path, count_newlines(file.path, offset) + 1,
         file.layout.too_long);
  };
  // The byte before tells whether a line begins at piece.begin.
  const std::int64_t from = piece.begin - (piece.begin > file.layout.data_begin);
  const auto nominal = static_cast<std::size_t>(piece.end - from);
  std::size_t had = 0, first = 0, end = 0;
  for (std::size_t want = nominal + kLineGuess;; want *= 2) {
    const auto left = static_cast<std::size_t>(piece.input->size() - from);
    const std::size_t size = std::min(want, left);
    if (buffer.size() < size + 1) buffer.resize(size + 1);
    piece.input->read_at(from + static_cast<std::int64_t>(had), buffer.data() + had, size - had);
    const std::string_view text(buffer.data(), size);
    if (had == 0 && from < piece.begin) {
      const std::size_t newline = text.substr(0, nominal - 1).find('\n');
      if (newline == std::string_view::npos) {
        piece.text = {};
        return;
      }
      first = newline + 1;
    }
    const std::size_t newline = text.find('\n', std::max(had, nominal - 1));
    end = newline == std::string_view::npos ? size : newline + 1;
    const std::size_t before = nominal < 2 ? std::string_view::npos : text.rfind('\n', nominal - 2);
    const std::size_t last = before == std::string_view::npos ? first : before + 1;
    if (end - last > file.layout.max_line_bytes + 1) refuse(from + static_cast<std::int64_t>(last));
    if (newline != std::string_view::npos || size == left) break;
    had = size;
  }
  buffer[end] = '\0';
  piece.text = std::string_view(buffer).substr(first, end - first);
  piece.block.offset = from + static_cast<std::int64_t>(first);
}

// Reads as many pieces as there are threads and parses them.
bool TextPieces::fill() {
  filled_ = given_ = 0;
  while (filled_ < pieces_.size() && !stopped_) {
    Piece& piece = pieces_[filled_];
    try {
      if (!take(piece)) break;
    } catch (...) {
      piece.failure = std::current_exception();
      stopped_ = true;
    }
    ++filled_;
  }
  pool_.parallel_for(static_cast<std::int64_t>(filled_), 1, [&](auto first, auto last, int) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
      Piece& piece = pieces_[i];
      if (piece.failure) continue;
      try {
        if (piece.input) read_range(piece);
        if (!piece.text.empty()) piece.parsed = &parse_(piece.text, files_[piece.file], i);
      } catch (...) {
        piece.failure = std::current_exception();
      }
    }
  });
  return filled_ > 0;
}

std::optional<std::size_t> TextPieces::next(BadRecords mode, ReadReport& report) {
  for (;;) {
    if (given_ == filled_ && !fill()) return std::nullopt;
    Piece& piece = pieces_[given_];
    if (piece.failure) {
      stopped_ = true;
      std::rethrow_exception(piece.failure);
    }
    ++given_;
    if (piece.text.empty()) continue;
    account(piece, mode, report);
    return given_ - 1;
  }
}

void TextPieces::account(Piece& piece, BadRecords mode, ReadReport& report) {
  const ParsedLines& parsed = *piece.parsed;
  const TextFile& file = files_[piece.file];
  if (piece.file != line_file_) {
    line_file_ = piece.file;
    first_offset_ = piece.block.offset;
    lines_given_ = 0;
    lines_before_ = first_offset_ == file.layout.data_begin ? file.layout.header_lines : -1;
  }
  const std::int64_t lines = lines_given_;
  lines_given_ += parsed.lines;
  if (parsed.bad == 0) return;
  const bool stop = mode == BadRecords::fail || parsed.too_long;
  report.skipped += parsed.bad;
  for (std::size_t why = 0; why < report.skipped_by.size(); ++why)
    report.skipped_by[why] += parsed.bad_by[why];
  if (!stop && report.examples.size() >= kMaxExamples) return;
  if (lines_before_ < 0) lines_before_ = count_newlines(file.path, first_offset_);
  const auto message = [&](const BadText& bad) {
    return fmt::format("{}:{}:{}: {}", file.path, lines_before_ + lines + bad.line + 1, bad.column,
                       bad.what);
  };
  if (stop) fail(ErrorKind::data, "{}", message(parsed.examples.back()));
  for (const BadText& bad : parsed.examples)
    if (report.examples.size() < kMaxExamples) report.examples.push_back(message(bad));
}

std::int64_t TextPieces::row_estimate(int parts) const {
  constexpr double kGzipRatio = 4;  // of text like this
  double rows = 0;
  for (const TextFile& file : files_) {
    const FileSize size = file_size(file.path);
    const double bytes = static_cast<double>(size.bytes) * (size.is_gzip ? kGzipRatio : 1) / parts;
    rows += bytes / file.layout.record_bytes * file.layout.record_rows;
  }
  return static_cast<std::int64_t>(rows);
}

}  // namespace gradmill
