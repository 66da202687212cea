#include "data/slice_sequence.h"

#include <algorithm>

#include "runtime/expect.h"

namespace gradmill {
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

PartOfFiles part_of_files(const std::vector<std::string>& files, int part, int parts,
                          const std::function<std::int64_t(const std::string&)>& count_rows) {
  PartOfFiles found;
  if (parts > 1) {
    std::vector<std::int64_t> rows;
    std::int64_t total = 0;
    for (const std::string& file : files) total += rows.emplace_back(count_rows(file));
    found.slices = slices_of_part(files, rows, part, parts);
    found.first_row = part_begin(total, part, parts);
  } else {
    for (const std::string& file : files) found.slices.push_back({file});
  }
  return found;
}

std::unique_ptr<RatingStream> open_in_slices(
    const std::vector<std::string>& files, const RatingReadOptions& options,
    const std::function<std::int64_t(const std::string&)>& count_rows, SliceSequence::Open open) {
  PartOfFiles part = part_of_files(files, options.part, options.parts, count_rows);
  return std::make_unique<SliceSequence>(std::move(part.slices), part.first_row, std::move(open));
}

}  // namespace gradmill
