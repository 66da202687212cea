// Row ranges of several files, one after the other, as one stream.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/rating_stream.h"
#include "data/sample_stream.h"

namespace gradmill {

/// Rows [first, first + count) of a file; count -1: to its end.
struct FileSlice {
  std::string path;
  std::int64_t first = 0, count = -1;
};

/// The slices of files of `rows` rows each that make up part `part` of `parts` nearly equal runs.
std::vector<FileSlice> slices_of_part(const std::vector<std::string>& files,
                                      const std::vector<std::int64_t>& rows, int part, int parts);

/// Adds b to a, with at most as many examples as one report has.
ReadReport sum_of(const ReadReport& a, const ReadReport& b);

template <class Stream, class Chunk>
class SlicesOf : public Stream {
 public:
  using Open = std::function<std::unique_ptr<Stream>(const FileSlice&)>;
  /// `first_row` is the number of the first slice's first row in the whole source.
  SlicesOf(std::vector<FileSlice> slices, std::int64_t first_row, Open open)
      : slices_(std::move(slices)), row_(first_row), open_(std::move(open)) {}

  bool next(Chunk& chunk) override {
    for (;;) {
      if (!current_) {
        if (index_ == slices_.size()) return false;
        current_ = open_(slices_[index_++]);
      }
      const bool more = current_->next(chunk);
      report_ = sum_of(done_, current_->report());
      if (more) {
        chunk.first_row = row_;
        row_ += chunk.rows();
        return true;
      }
      done_ = report_;
      current_.reset();
    }
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override {
    std::int64_t rows = 0;
    for (const FileSlice& slice : slices_) rows += std::max<std::int64_t>(0, slice.count);
    return rows;
  }

 private:
  std::vector<FileSlice> slices_;
  std::size_t index_ = 0;
  std::int64_t row_;
  Open open_;
  std::unique_ptr<Stream> current_;
  ReadReport done_, report_;
};

using SliceSequence = SlicesOf<RatingStream, RatingChunk>;

class SampleSlices : public SlicesOf<SampleStream, SampleChunk> {
 public:
  SampleSlices(std::vector<FileSlice> slices, std::int64_t first_row, Open open,
               std::int64_t num_features, double row_nnz)
      : SlicesOf(std::move(slices), first_row, std::move(open)),
        num_features_(num_features),
        row_nnz_(row_nnz) {}
  std::int64_t num_features() const override { return num_features_; }
  std::int64_t nnz_estimate() const override {
    return static_cast<std::int64_t>(row_nnz_ * static_cast<double>(row_estimate()));
  }

 private:
  std::int64_t num_features_;
  double row_nnz_;
};

/// Where a part of files begins, and its slices.
struct PartOfFiles {
  std::vector<FileSlice> slices;
  std::int64_t first_row = 0;
};
/// Part `part` of `parts` of all files, one after the other. With one part, the rows of the files need
/// not be counted.
PartOfFiles part_of_files(const std::vector<std::string>& files, int part, int parts,
                          const std::function<std::int64_t(const std::string&)>& count_rows);
std::unique_ptr<RatingStream> open_in_slices(
    const std::vector<std::string>& files, const RatingReadOptions& options,
    const std::function<std::int64_t(const std::string&)>& count_rows, SliceSequence::Open open);

/// Row r of n is in part r * parts / n, roughly: part p has rows [n * p / parts, n * (p + 1) / parts).
std::int64_t part_begin(std::int64_t rows, int part, int parts);

}  // namespace gradmill
