#include "data/hdf5_samples.h"

#include <algorithm>
#include <optional>

#include "data/hdf5_column.h"
#include "data/hdf5_numbers.h"
#include "data/record_checks.h"
#include "data/sample_rows.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

constexpr std::int64_t kChunkEntries = 1 << 20;  // about, so that memory is bounded

class Hdf5Samples : public SampleStream {
 public:
  Hdf5Samples(const FileSlice& slice, const SampleReadOptions& options, const ChildLimits& limits)
      : options_(options),
        layout_(locate_hdf5_samples(slice.path, options.columns, limits)),
        file_(InputFile::open_following_links(slice.path)),
        limits_(limits),
        row_(slice.first),
        end_(slice.count < 0 ? layout_.rows : slice.first + slice.count) {
    expect(end_ <= layout_.rows, ErrorKind::data, "{}: has {} rows, {} were expected", slice.path,
           layout_.rows, end_);
    if (options.threads > 1) pool_.emplace(options.threads);
    num_features_ = options.num_features > 0   ? options.num_features
                    : layout_.num_features > 0 ? layout_.num_features
                                               : kMaxFeatures;
    if (row_ == end_) return;
    open(offsets_, layout_.offsets, row_, end_ - row_ + 1);
    open(labels_, layout_.labels, row_, end_ - row_);
    for (const Hdf5Column& weights : layout_.weights) open(weights_, weights, row_, end_ - row_);
    next_entry_ = take_offset(0);
  }

  bool next(SampleChunk& chunk) override {
    while (row_ < end_) {
      const std::int64_t rows = take_offsets(chunk);
      take_entries(chunk);
      take_reals(*labels_, rows, chunk.labels);
      chunk.weights.clear();
      if (weights_) take_reals(*weights_, rows, chunk.weights);
      check_rows(chunk);
      row_ += rows;
      chunk.first_row = report_.rows;
      report_.rows += chunk.rows();
      if (chunk.rows() > 0) return true;
    }
    return false;
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t num_features() const override {
    return options_.num_features > 0 ? options_.num_features : layout_.num_features;
  }
  std::int64_t row_estimate() const override { return end_ - row_; }
  std::int64_t nnz_estimate() const override {
    return layout_.rows ? static_cast<std::int64_t>(static_cast<double>(layout_.entries) *
                                                    static_cast<double>(end_ - row_) /
                                                    static_cast<double>(layout_.rows))
                        : 0;
  }

 private:
  using Reader = std::unique_ptr<Hdf5ColumnReader>;

  void open(Reader& reader, const Hdf5Column& column, std::int64_t first, std::int64_t count) {
    reader = std::make_unique<Hdf5ColumnReader>(file_, column, first, count,
                                                pool_ ? &*pool_ : nullptr, limits_);
  }

  /// The next offset, which must not be below `least`.
  std::int64_t take_offset(std::int64_t least) {
    std::int64_t offset = 0;
    std::optional<BadRecord> bad;
    for_numbers(offsets_->element(), offsets_->read(1),
                [&](std::int64_t, auto number) { bad = to_whole(number, offset); });
    check_offset(!bad, offset, least, row_);
    return offset;
  }
  void check_offset(bool whole, std::int64_t offset, std::int64_t least, std::int64_t at) const {
    expect(whole && offset >= least && offset <= layout_.entries, ErrorKind::data,
           "{}: data set {}: row {} is {}; expected offsets that ascend to {}", file_.path(),
           layout_.offsets.path, at, whole ? std::to_string(offset) : "no offset", layout_.entries);
  }

  /// Fills pending_ with offsets and moves those of one chunk's rows into it.
  std::int64_t take_offsets(SampleChunk& chunk) {
    if (pending_.empty()) {
      const std::int64_t rows =
          std::min(end_ - row_, std::max<std::int64_t>(1, options_.chunk_rows));
      pending_.resize(static_cast<std::size_t>(rows));
      std::int64_t last = next_entry_;
      for_numbers(offsets_->element(), offsets_->read(rows), [&](std::int64_t r, auto number) {
        std::int64_t& offset = pending_[static_cast<std::size_t>(r)];
        const bool whole = !to_whole(number, offset);
        check_offset(whole, offset, last, row_ + r + 1);
        last = offset;
      });
    }
    const auto behind =
        std::upper_bound(pending_.begin(), pending_.end(), next_entry_ + kChunkEntries);
    const auto rows = std::max<std::ptrdiff_t>(1, behind - pending_.begin());
    chunk.offsets.assign(1, 0);
    for (std::ptrdiff_t r = 0; r < rows; ++r)
      chunk.offsets.push_back(pending_[static_cast<std::size_t>(r)] - next_entry_);
    pending_.erase(pending_.begin(), pending_.begin() + rows);
    return rows;
  }

  void take_entries(SampleChunk& chunk) {
    const std::int64_t entries = chunk.offsets.back();
    chunk.indices.resize(static_cast<std::size_t>(entries));
    chunk.values.resize(static_cast<std::size_t>(entries));
    if (entries == 0) return;
    if (!indices_) {  // how many entries the part has is in an offset far behind
      const std::int64_t to = end_ == layout_.rows ? layout_.entries : last_entry();
      expect(to >= next_entry_ + entries, ErrorKind::data,
             "{}: data set {}: the offsets do not ascend", file_.path(), layout_.offsets.path);
      open(indices_, layout_.indices, next_entry_, to - next_entry_);
      open(values_, layout_.values, next_entry_, to - next_entry_);
      last_entry_ = to;
    }
    expect(next_entry_ + entries <= last_entry_, ErrorKind::data,
           "{}: data set {}: the offsets do not ascend", file_.path(), layout_.offsets.path);
    for_numbers(indices_->element(), indices_->read(entries), [&](std::int64_t e, auto number) {
      chunk.indices[static_cast<std::size_t>(e)] = to_index(number);
    });
    for_numbers(values_->element(), values_->read(entries), [&](std::int64_t e, auto number) {
      chunk.values[static_cast<std::size_t>(e)] = static_cast<float>(number);
    });
    next_entry_ += entries;
  }

  std::int64_t last_entry() {
    Reader reader;
    open(reader, layout_.offsets, end_, 1);
    std::int64_t offset = 0;
    bool whole = false;
    for_numbers(reader->element(), reader->read(1),
                [&](std::int64_t, auto number) { whole = !to_whole(number, offset); });
    check_offset(whole, offset, next_entry_, end_);
    return offset;
  }

  static void take_reals(Hdf5ColumnReader& reader, std::int64_t rows, std::vector<float>& to) {
    to.resize(static_cast<std::size_t>(rows));
    for_numbers(reader.element(), reader.read(rows), [&](std::int64_t row, auto number) {
      to[static_cast<std::size_t>(row)] = static_cast<float>(number);
    });
  }

  std::optional<RowFault> fault_of(SampleChunk& chunk, std::size_t row) const {
    const auto real = [&](RatingRole role, const std::vector<float>& values,
                          const char* what) -> std::optional<RowFault> {
      float value = 0;
      const Verdict bad = to_real(role, values[row], value);
      if (!bad) return std::nullopt;
      return RowFault{
          *bad, fmt::format("the {} is {}; expected {}", what, values[row], expected_of(role))};
    };
    if (auto fault = real(RatingRole::value, chunk.labels, "label")) return fault;
    if (!chunk.weights.empty())
      if (auto fault = real(RatingRole::weight, chunk.weights, "weight")) return fault;
    const auto begin = static_cast<std::size_t>(chunk.offsets[row]);
    return check_row(chunk.indices.data() + begin, chunk.values.data() + begin,
                     static_cast<std::size_t>(chunk.offsets[row + 1]) - begin, num_features_);
  }

  /// Takes out the rows that are refused.
  void check_rows(SampleChunk& chunk) {
    const auto rows = static_cast<std::size_t>(chunk.rows());
    std::size_t kept = 0, entries = 0, begin = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      const auto fault = fault_of(chunk, row);
      const auto end = static_cast<std::size_t>(chunk.offsets[row + 1]);
      if (fault) {
        reject_record(
            report_, options_.bad_records, fault->why,
            fmt::format("{}: row {} ({}): {}", file_.path(), row_ + static_cast<std::int64_t>(row),
                        layout_.indices.path, fault->what));
      } else {
        if (entries != begin) {
          std::copy(chunk.indices.begin() + static_cast<std::ptrdiff_t>(begin),
                    chunk.indices.begin() + static_cast<std::ptrdiff_t>(end),
                    chunk.indices.begin() + static_cast<std::ptrdiff_t>(entries));
          std::copy(chunk.values.begin() + static_cast<std::ptrdiff_t>(begin),
                    chunk.values.begin() + static_cast<std::ptrdiff_t>(end),
                    chunk.values.begin() + static_cast<std::ptrdiff_t>(entries));
        }
        entries += end - begin;
        chunk.labels[kept] = chunk.labels[row];
        if (!chunk.weights.empty()) chunk.weights[kept] = chunk.weights[row];
        chunk.offsets[++kept] = static_cast<std::int64_t>(entries);
      }
      begin = end;
    }
    chunk.offsets.resize(kept + 1);
    chunk.labels.resize(kept);
    if (!chunk.weights.empty()) chunk.weights.resize(kept);
    chunk.indices.resize(entries);
    chunk.values.resize(entries);
  }

  SampleReadOptions options_;
  Hdf5SampleColumns layout_;
  InputFile file_;
  ChildLimits limits_;
  std::int64_t row_, end_, num_features_ = 0;
  std::int64_t next_entry_ = 0, last_entry_ = 0;
  std::vector<std::int64_t> pending_;  // offsets behind the next rows
  std::optional<ThreadPool> pool_;
  Reader offsets_, labels_, weights_, indices_, values_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<SampleStream> read_hdf5_samples(const FileSlice& slice,
                                                const SampleReadOptions& options,
                                                const ChildLimits& limits) {
  return std::make_unique<Hdf5Samples>(slice, options, limits);
}

std::unique_ptr<SampleStream> open_hdf5_samples(const std::vector<std::string>& files,
                                                const SampleReadOptions& options) {
  std::int64_t rows = 0, entries = 0, features = options.num_features;
  const auto count = [&](const std::string& file) {
    const Hdf5SampleColumns found = locate_hdf5_samples(file, options.columns);
    rows += found.rows;
    entries += found.entries;
    if (options.num_features == 0) features = std::max(features, found.num_features);
    return found.rows;
  };
  PartOfFiles part;
  std::vector<std::int64_t> file_rows;
  for (const std::string& file : files) file_rows.push_back(count(file));
  std::size_t next = 0;
  part = part_of_files(files, options.part, options.parts,
                       [&](const std::string&) { return file_rows[next++]; });
  if (options.parts == 1)
    for (std::size_t f = 0; f < files.size(); ++f) part.slices[f] = {files[f], 0, file_rows[f]};
  return std::make_unique<SampleSlices>(
      std::move(part.slices), part.first_row,
      [options](const FileSlice& slice) { return read_hdf5_samples(slice, options); }, features,
      rows ? static_cast<double>(entries) / static_cast<double>(rows) : 0);
}

}  // namespace gradmill
