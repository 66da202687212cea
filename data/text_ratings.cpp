#include "data/text_layout.h"
#include "data/text_parse.h"
#include "data/text_pieces.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Role = RatingRole;

constexpr double kMaxPieceBytes = 16 << 20;

class TextRatings : public RatingStream {
 public:
  TextRatings(const std::vector<std::string>& files, const RatingReadOptions& options)
      : options_(options),
        parsed_(static_cast<std::size_t>(options.threads)),
        pieces_(
            open_files(files, options), options.threads, options.chunk_rows, kMaxPieceBytes,
            [this](std::string_view text, const TextFile& file, std::size_t slot) -> ParsedLines& {
              parse_rating_text(text, file.layout, options_, parsed_[slot]);
              return parsed_[slot];
            }) {}

  bool next(RatingChunk& chunk) override {
    while (const auto slot = pieces_.next(options_.bad_records, report_)) {
      give(parsed_[*slot], chunk);
      if (chunk.rows() > 0) return true;
    }
    return finish();
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override { return pieces_.row_estimate(options_.parts); }

 private:
  static std::vector<TextFile> open_files(const std::vector<std::string>& paths,
                                          const RatingReadOptions& options);
  void give(ParsedText& parsed, RatingChunk& chunk);
  bool finish() const;

  RatingReadOptions options_;
  std::vector<ParsedText> parsed_;  // one for each thread
  TextPieces pieces_;
  bool text_users_ = false, text_items_ = false;
  ReadReport report_;
};

void check_files(const std::vector<TextFile>& files) {
  const TextFile* first = nullptr;
  for (const TextFile& file : files) {
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
         files.empty() ? "no file" : files[0].path);
}

std::vector<TextFile> TextRatings::open_files(const std::vector<std::string>& paths,
                                              const RatingReadOptions& options) {
  std::vector<TextFile> files;
  for (const std::string& path : paths) files.push_back({path, detect_text_layout(path, options)});
  check_files(files);
  share_out(files, options.part, options.parts);
  return files;
}

void TextRatings::give(ParsedText& parsed, RatingChunk& chunk) {
  std::swap(chunk, parsed.chunk);
  if (text_users_) chunk.users.make_text();
  if (text_items_) chunk.items.make_text();
  text_users_ = chunk.users.kind == IdColumn::Kind::string;
  text_items_ = chunk.items.kind == IdColumn::Kind::string;
  chunk.first_row = report_.rows;
  report_.rows += chunk.rows();
}

bool TextRatings::finish() const {
  if (report_.rows > 0 || options_.parts > 1) return false;  // other parts may have rows
  if (report_.skipped > 0)
    fail(ErrorKind::data, "{}; all {} records are bad", report_.examples[0], report_.skipped);
  fail(ErrorKind::data, "{}: no rows; every line is blank or has no item", pieces_.files()[0].path);
}

}  // namespace

std::unique_ptr<RatingStream> open_text_ratings(const std::vector<std::string>& files,
                                                const RatingReadOptions& options) {
  return std::make_unique<TextRatings>(files, options);
}

}  // namespace gradmill
