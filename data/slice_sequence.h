// Row ranges of several files, one after the other, as one stream.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill {

/// Rows [first, first + count) of a file; count -1: to its end.
struct FileSlice {
  std::string path;
  std::int64_t first = 0, count = -1;
};

/// The slices of files of `rows` rows each that make up part `part` of `parts` nearly equal runs.
std::vector<FileSlice> slices_of_part(const std::vector<std::string>& files,
                                      const std::vector<std::int64_t>& rows, int part, int parts);

/// Part options.part of options.parts of all files, one after the other. With one part, the rows of the
/// files need not be counted.
std::unique_ptr<RatingStream> open_in_slices(
    const std::vector<std::string>& files, const RatingReadOptions& options,
    const std::function<std::int64_t(const std::string&)>& count_rows,
    std::function<std::unique_ptr<RatingStream>(const FileSlice&)> open);

class SliceSequence : public RatingStream {
 public:
  using Open = std::function<std::unique_ptr<RatingStream>(const FileSlice&)>;
  /// `first_row` is the number of the first slice's first row in the whole source.
  SliceSequence(std::vector<FileSlice> slices, std::int64_t first_row, Open open);
  bool next(RatingChunk& chunk) override;
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override;

 private:
  std::vector<FileSlice> slices_;
  std::size_t index_ = 0;
  std::int64_t row_;
  Open open_;
  std::unique_ptr<RatingStream> current_;
  ReadReport done_, report_;
};

/// Row r of n is in part r * parts / n, roughly: part p has rows [n * p / parts, n * (p + 1) / parts).
std::int64_t part_begin(std::int64_t rows, int part, int parts);

}  // namespace gradmill
