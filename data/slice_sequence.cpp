#include "data/slice_sequence.h"

#include <algorithm>

#include "runtime/expect.h"

namespace gradmill {
namespace {

ReadReport sum_of(const ReadReport& a, const ReadReport& b) {
  ReadReport sum = a;
  sum.rows += b.rows;
  sum.skipped += b.skipped;
  for (std::size_t i = 0; i < sum.skipped_by.size(); ++i) sum.skipped_by[i] += b.skipped_by[i];
  for (const std::string& example : b.examples)
    if (sum.examples.size() < 10) sum.examples.push_back(example);
  for (const std::string& note : b.notes)
    if (std::find(sum.notes.begin(), sum.notes.end(), note) == sum.notes.end())
      sum.notes.push_back(note);
  return sum;
}

}  // namespace

std::int64_t part_begin(std::int64_t rows, int part, int parts) {
  return static_cast<std::int64_t>(static_cast<__int128>(rows) * part / parts);
}

std::vector<FileSlice> slices_of_part(const std::vector<std::string>& files,
                                      const std::vector<std::int64_t>& rows, int part, int parts) {
  require(files.size() == rows.size() && part >= 0 && part < parts, "part {} of {}", part, parts);
  std::int64_t total = 0;
  for (const std::int64_t n : rows) total += n;
  const std::int64_t begin = part_begin(total, part, parts),
                     end = part_begin(total, part + 1, parts);
  std::vector<FileSlice> slices;
  std::int64_t at = 0;
  for (std::size_t f = 0; f < files.size(); at += rows[f++]) {
    const std::int64_t first = std::max(begin, at), last = std::min(end, at + rows[f]);
    if (first < last) slices.push_back({files[f], first - at, last - first});
  }
  return slices;
}

std::unique_ptr<RatingStream> open_in_slices(
    const std::vector<std::string>& files, const RatingReadOptions& options,
    const std::function<std::int64_t(const std::string&)>& count_rows, SliceSequence::Open open) {
  std::vector<FileSlice> slices;
  std::int64_t first_row = 0;
  if (options.parts > 1) {
    std::vector<std::int64_t> rows;
    std::int64_t total = 0;
    for (const std::string& file : files) total += rows.emplace_back(count_rows(file));
    slices = slices_of_part(files, rows, options.part, options.parts);
    first_row = part_begin(total, options.part, options.parts);
  } else {
    for (const std::string& file : files) slices.push_back({file});
  }
  return std::make_unique<SliceSequence>(std::move(slices), first_row, std::move(open));
}

SliceSequence::SliceSequence(std::vector<FileSlice> slices, std::int64_t first_row, Open open)
    : slices_(std::move(slices)), row_(first_row), open_(std::move(open)) {}

std::int64_t SliceSequence::row_estimate() const {
  std::int64_t rows = 0;
  for (const FileSlice& slice : slices_) rows += std::max<std::int64_t>(0, slice.count);
  return rows;
}

bool SliceSequence::next(RatingChunk& chunk) {
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

}  // namespace gradmill
