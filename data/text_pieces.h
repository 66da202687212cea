// Text files cut into pieces that several threads read and parse, and that come back in order.
#pragma once

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/files.h"
#include "data/rating_columns.h"
#include "data/text_blocks.h"
#include "data/text_layout.h"
#include "runtime/thread_pool.h"

namespace gradmill {

/// A record that was left out: where it is in the piece, and a message without the file's name.
struct BadText {
  BadRecord why = BadRecord::malformed;
  std::int64_t line = 0;    // from 0
  std::int64_t column = 1;  // byte in the line, from 1
  std::string what;
};

/// What the parser of a piece says about its lines; the rows themselves are in a derived struct.
struct ParsedLines {
  std::int64_t lines = 0;  // newlines
  std::int64_t bad = 0;
  std::array<std::int64_t, 4> bad_by{};  // indexed by BadRecord
  std::vector<BadText> examples;         // the first few
  bool too_long = false;  // the last example is a line above max_line_bytes: never skipped
};

/// The bytes of one file that are to be read.
struct TextFile {
  std::string path;
  TextLayout layout;
  std::int64_t begin = 0, end = TextBlocks::kToTheEnd;
};

/// Sets begin and end of all: the files behind one another are cut into `parts` equal pieces, and a
/// record belongs where its first byte lies. Errors: ErrorKind::usage if there is no such part.
void share_out(std::vector<TextFile>& files, int part, int parts);

/// Where pieces end depends on the files and block_bytes alone, not on the number of threads.
class TextPieces {
 public:
  /// Parses `text`, which begins and ends at records, with text.data()[text.size()] == '\0'; runs on any thread.
  /// The result lives in slot [0, threads) until the next call with this slot.
  using Parse =
      std::function<ParsedLines&(std::string_view text, const TextFile& file, std::size_t slot)>;
  /// Pieces of about chunk_rows records, but at most max_bytes.
  TextPieces(std::vector<TextFile> files, int threads, std::int64_t chunk_rows, double max_bytes,
             Parse parse);

  /// The slot of the next piece; its bad records are in the report by then. Nothing at the end.
  /// Errors: ErrorKind::data for the first bad record (BadRecords::fail), or one that is never skipped.
  std::optional<std::size_t> next(BadRecords mode, ReadReport& report);
  const std::vector<TextFile>& files() const { return files_; }
  /// Of all that is to be read, by the layouts.
  std::int64_t row_estimate(int parts) const;

 private:
  struct Piece {
    std::size_t file = 0;
    std::shared_ptr<const InputFile> input;  // if a thread reads it:
    std::int64_t begin = 0, end = 0;         // of its bytes
    TextBlock block;                         // block.text may be longer than `text`
    std::string_view text;
    ParsedLines* parsed = nullptr;
    std::exception_ptr failure;
  };
  bool fill();
  bool take(Piece& piece);
  std::int64_t bytes_of_piece(const TextFile& file) const;
  void read_range(Piece& piece) const;
  void account(Piece& piece, BadRecords mode, ReadReport& report);

  std::vector<TextFile> files_;
  std::int64_t chunk_rows_;
  double max_bytes_;
  Parse parse_;
  ThreadPool pool_;
  std::vector<Piece> pieces_;  // one for each thread
  std::size_t filled_ = 0, given_ = 0;
  std::size_t file_ = 0;                    // being read:
  std::unique_ptr<TextBlocks> blocks_;      // one piece after the other, or
  std::shared_ptr<const InputFile> input_;  // each by its thread, from position_
  std::int64_t position_ = 0;
  bool stopped_ = false;  // by a failure
  std::size_t line_file_ = static_cast<std::size_t>(-1);
  std::int64_t first_offset_ = 0;   // of the first piece given of file line_file_
  std::int64_t lines_given_ = 0;    // of that file
  std::int64_t lines_before_ = -1;  // before first_offset_; -1: not counted yet
};

}  // namespace gradmill
