// Ratings from text files: pieces are read one after another and parsed side by side.
#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include "data/text_blocks.h"
#include "data/text_layout.h"
#include "data/text_parse.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

using Role = RatingRole;

constexpr double kMaxBlockBytes = 16 << 20;
constexpr std::size_t kMaxExamples = 10;

/// The bytes of one file that this part reads.
struct FileRange {
  std::string path;
  TextLayout layout;
  std::int64_t begin = 0, end = TextBlocks::kToTheEnd;
};

/// A piece on its way from the file to the caller.
struct Piece {
  std::size_t file = 0;
  TextBlock block;
  ParsedText parsed;
};

class TextRatings : public RatingStream {
 public:
  TextRatings(const std::vector<std::string>& files, const RatingReadOptions& options)
      : options_(options),
        pool_(options.threads),
        pieces_(static_cast<std::size_t>(options.threads)) {
    expect(options.parts >= 1 && options.part >= 0 && options.part < options.parts,
           ErrorKind::usage, "part {} of {} does not exist", options.part, options.parts);
    for (const std::string& path : files)
      files_.push_back({path, detect_text_layout(path, options)});
    check_files();
    if (options.parts > 1) share_out();
  }

  bool next(RatingChunk& chunk) override {
    do {
      if (given_ == filled_ && failure_) std::rethrow_exception(failure_);
      if (given_ == filled_ && !fill()) return finish();
    } while (!give(pieces_[given_++], chunk));
    return true;
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override;

 private:
  void check_files();
  void share_out();
  bool fill();
  bool give(Piece& piece, RatingChunk& chunk);
  void note_bad(const Piece& piece);
  bool finish() const;

  RatingReadOptions options_;
  ThreadPool pool_;
  std::vector<FileRange> files_;
  std::size_t file_ = 0;                // being read
  std::unique_ptr<TextBlocks> blocks_;  // of it
  std::vector<Piece> pieces_;           // one for each thread
  std::size_t filled_ = 0, given_ = 0;
  std::exception_ptr failure_;  // of reading on, for when the pieces before it have been given
  bool text_users_ = false, text_items_ = false;
  std::size_t line_file_ = static_cast<std::size_t>(-1);
  std::int64_t first_offset_ = 0;   // of the first piece given of file line_file_
  std::int64_t lines_given_ = 0;    // of that file
  std::int64_t lines_before_ = -1;  // before first_offset_; -1: not counted yet
  ReadReport report_;
};

void TextRatings::check_files() {
  const FileRange* first = nullptr;
  for (const FileRange& file : files_) {
    if (!file.layout.has_rows) continue;
    if (!first) first = &file;
    for (const Role role : {Role::value, Role::weight, Role::timestamp})
      expect(first->layout.has(role) == file.layout.has(role), ErrorKind::data,
             "{} has {} {} column, but {} has {}; files that are read together must have the same "
             "columns",
             file.path, file.layout.has(role) ? "a" : "no", role_name(role), first->path,
             first->layout.has(role) ? "one" : "none");
  }
  expect(first, ErrorKind::data, "{}: no rows; expected lines of user, item and rating",
         files_.empty() ? "no file" : files_[0].path);
}

// The files behind one another are cut into equal parts; a record belongs where its first byte lies.
void TextRatings::share_out() {
  std::vector<std::int64_t> sizes;
  std::int64_t total = 0;
  for (const FileRange& file : files_) {
    sizes.push_back(byte_source_size(file.path));
    total += sizes.back();
  }
  const auto cut = [&](int part) {
    return static_cast<std::int64_t>(static_cast<__int128>(total) * part / options_.parts);
  };
  const std::int64_t begin = cut(options_.part), end = cut(options_.part + 1);
  std::int64_t before = 0;
  for (std::size_t f = 0; f < files_.size(); ++f) {
    files_[f].begin = std::clamp<std::int64_t>(begin - before, 0, sizes[f]);
    files_[f].end = std::clamp<std::int64_t>(end - before, 0, sizes[f]);
    before += sizes[f];
  }
}

// Reads as many pieces as there are threads and parses them.
bool TextRatings::fill() {
  filled_ = given_ = 0;
  while (filled_ < pieces_.size() && file_ < files_.size()) {
    const FileRange& file = files_[file_];
    if (!blocks_) {
      if (!file.layout.has_rows || file.begin >= file.end) {
        ++file_;
        continue;
      }
      const double bytes = static_cast<double>(options_.chunk_rows) * file.layout.record_bytes;
      blocks_ = std::make_unique<TextBlocks>(
          file.path, file.layout, file.begin, file.end,
          static_cast<std::int64_t>(std::clamp(bytes, 1.0, kMaxBlockBytes)));
    }
    Piece& piece = pieces_[filled_];
    piece.file = file_;
    try {
      if (blocks_->next(piece.block)) {
        ++filled_;
        continue;
      }
    } catch (...) {
      failure_ = std::current_exception();
      break;
    }
    blocks_.reset();
    ++file_;
  }
  pool_.parallel_for(static_cast<std::int64_t>(filled_), 1, [&](auto first, auto last, int) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
      parse_rating_text(pieces_[i].block.text, files_[pieces_[i].file].layout, options_,
                        pieces_[i].parsed);
  });
  if (filled_ == 0 && failure_) std::rethrow_exception(failure_);
  return filled_ > 0;
}

// False if the piece has no rows.
bool TextRatings::give(Piece& piece, RatingChunk& chunk) {
  if (piece.file != line_file_) {
    line_file_ = piece.file;
    first_offset_ = piece.block.offset;
    lines_given_ = 0;
    const TextLayout& layout = files_[piece.file].layout;
    lines_before_ = first_offset_ == layout.data_begin ? layout.header_lines : -1;
  }
  if (piece.parsed.bad > 0) note_bad(piece);
  lines_given_ += piece.parsed.lines;
  std::swap(chunk, piece.parsed.chunk);
  if (text_users_) chunk.users.make_text();
  if (text_items_) chunk.items.make_text();
  text_users_ = chunk.users.kind == IdColumn::Kind::string;
  text_items_ = chunk.items.kind == IdColumn::Kind::string;
  chunk.first_row = report_.rows;
  report_.rows += chunk.rows();
  return chunk.rows() > 0;
}

void TextRatings::note_bad(const Piece& piece) {
  const bool stop = options_.bad_records == BadRecords::fail || piece.parsed.too_long;
  report_.skipped += piece.parsed.bad;
  for (std::size_t why = 0; why < report_.skipped_by.size(); ++why)
    report_.skipped_by[why] += piece.parsed.bad_by[why];
  if (!stop && report_.examples.size() >= kMaxExamples) return;
  const std::string& path = files_[piece.file].path;
  if (lines_before_ < 0) lines_before_ = count_newlines(path, first_offset_);
  const auto message = [&](const BadText& bad) {
    return fmt::format("{}:{}:{}: {}", path, lines_before_ + lines_given_ + bad.line + 1,
                       bad.column, bad.what);
  };
  if (stop) fail(ErrorKind::data, "{}", message(piece.parsed.examples.back()));
  for (const BadText& bad : piece.parsed.examples)
    if (report_.examples.size() < kMaxExamples) report_.examples.push_back(message(bad));
}

std::int64_t TextRatings::row_estimate() const {
  constexpr double kGzipRatio = 4;  // of text like this
  double rows = 0;
  for (const FileRange& file : files_) {
    const FileSize size = file_size(file.path);
    const double bytes =
        static_cast<double>(size.bytes) * (size.is_gzip ? kGzipRatio : 1) / options_.parts;
    rows += bytes / file.layout.record_bytes * file.layout.record_rows;
  }
  return static_cast<std::int64_t>(rows);
}

bool TextRatings::finish() const {
  if (report_.rows > 0 || options_.parts > 1) return false;  // other parts may have rows
  if (report_.skipped > 0)
    fail(ErrorKind::data, "{}; all {} records are bad", report_.examples[0], report_.skipped);
  fail(ErrorKind::data, "{}: no rows; every line is blank or has no item", files_[0].path);
}

}  // namespace

std::unique_ptr<RatingStream> open_text_ratings(const std::vector<std::string>& files,
                                                const RatingReadOptions& options) {
  return std::make_unique<TextRatings>(files, options);
}

}  // namespace gradmill
