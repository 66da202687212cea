// Records from HDF5: data sets of one dimension as columns, and the columns of matrices: "x[0]", "x[1]", ….
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "data/files.h"
#include "data/hdf5_column.h"
#include "data/hdf5_layout.h"
#include "data/record_checks.h"
#include "data/record_rules.h"
#include "data/record_stream.h"
#include "data/slice_sequence.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

using Kind = Hdf5Element::Kind;

constexpr std::int64_t kMaxColumns = 1 << 16;

/// "x[3]" is column 3 of the matrix x; index -1: no such ending, a data set of one dimension.
struct ColumnPlace {
  std::string dataset;
  std::int64_t index = -1;
};

ColumnPlace place_of(const std::string& name) {
  const std::size_t open = name.rfind('[');
  std::int64_t index = -1;
  if (open == std::string::npos || !name.ends_with(']')) return {name};
  const char *begin = name.data() + open + 1, *end = name.data() + name.size() - 1;
  const auto [stop, status] = std::from_chars(begin, end, index);
  if (status != std::errc{} || stop != end || index < 0) return {name};
  return {name.substr(0, open), index};
}

/// The data sets that can be columns, without the first '/', and the kinds of their values.
std::vector<ColumnSpec> columns_of_file(const std::string& path) {
  std::vector<ColumnSpec> columns;
  for (const Hdf5Summary& summary : list_hdf5(path)) {
    const bool number = summary.type.find("text") == std::string::npos;
    const std::string name = summary.path.substr(1);
    const auto& shape = summary.shape;
    if (summary.column && shape.size() == 1)
      columns.push_back({name, number ? ColumnKind::number : ColumnKind::text});
    if (shape.size() != 2 || shape[0] < 2 || shape[1] < 2 || !number || summary.type == "other")
      continue;
    for (std::int64_t i = 0; i < std::min(shape[1], kMaxColumns); ++i)
      columns.push_back({fmt::format("{}[{}]", name, i), ColumnKind::number});
  }
  return columns;
}

/// The data sets that the columns come from, each once.
struct Sources {
  std::vector<std::string> datasets;
  std::vector<std::size_t> dataset_of;  // [columns]
  std::vector<std::int64_t> index_of;   // [columns], in the row; 0 for data sets of one dimension

  explicit Sources(const std::vector<ColumnSpec>& columns) {
    for (const ColumnSpec& column : columns) {
      const ColumnPlace place = place_of(column.name);
      const auto found = std::find(datasets.begin(), datasets.end(), place.dataset);
      dataset_of.push_back(static_cast<std::size_t>(found - datasets.begin()));
      if (found == datasets.end()) datasets.push_back(place.dataset);
      index_of.push_back(std::max<std::int64_t>(0, place.index));
    }
  }
  std::vector<Hdf5Column> locate(const std::string& path,
                                 const std::vector<ColumnSpec>& columns) const {
    std::vector<Hdf5Column> located = locate_hdf5_columns(path, datasets, {}, true);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Hdf5Column& from = located[dataset_of[c]];
      const bool whole = place_of(columns[c].name).index < 0;
      expect(index_of[c] < from.width && (from.width > 1) != whole, ErrorKind::data,
             "{}: there is no column \"{}\": data set {} has {} values a row", path,
             columns[c].name, from.path, from.width);
    }
    return located;
  }
};

std::int64_t common_rows(const std::string& path, const std::vector<Hdf5Column>& columns) {
  for (const Hdf5Column& column : columns)
    expect(column.rows == columns[0].rows, ErrorKind::data,
           "{}: data set {} has {} rows, but {} has {}; name the columns to read", path,
           column.path, column.rows, columns[0].path, columns[0].rows);
  return columns.empty() ? 0 : columns[0].rows;
}

/// The rows of one slice of a file, each column as its bytes.
class OpenSlice {
 public:
  OpenSlice(const FileSlice& slice, const std::vector<ColumnSpec>& columns, const Sources& sources,
            ThreadPool& pool)
      : pool_(pool),
        columns_(sources.locate(slice.path, columns)),
        file_(InputFile::open_following_links(slice.path)),
        row_(slice.first),
        raw_(columns_.size()),
        scratch_(static_cast<std::size_t>(pool.size())) {
    const std::int64_t rows = common_rows(slice.path, columns_);
    end_ = slice.count < 0 ? rows : slice.first + slice.count;
    expect(end_ <= rows, ErrorKind::data, "{}: has {} rows, {} were expected", slice.path, rows,
           end_);
    for (const Hdf5Column& column : columns_) {
      children_.emplace_back();
      if (!column.direct && row_ < end_)
        children_.back() =
            std::make_unique<Hdf5ChildColumn>(slice.path, column, row_, end_ - row_, ChildLimits{});
    }
  }

  const std::string& path() const { return file_.path(); }
  std::int64_t row() const { return row_; }
  std::int64_t left() const { return end_ - row_; }
  /// Of data set d.
  const std::string& raw(std::size_t d) const { return raw_[d]; }
  const Hdf5Element& element(std::size_t d) const {
    return children_[d] ? children_[d]->element() : columns_[d].element;
  }
  std::int64_t width(std::size_t d) const { return columns_[d].width; }

  void read(std::int64_t rows) {
    const auto count = static_cast<std::int64_t>(columns_.size());
    pool_.parallel_for(count, 1, [&](std::int64_t first, std::int64_t last, int thread) {
      for (auto c = static_cast<std::size_t>(first); c < static_cast<std::size_t>(last); ++c)
        read_column(c, rows, scratch_[static_cast<std::size_t>(thread)]);
    });
    row_ += rows;
  }

 private:
  void read_column(std::size_t c, std::int64_t rows, Hdf5Scratch& scratch) {
    raw_[c].clear();
    if (children_[c]) return children_[c]->read(rows * columns_[c].width, raw_[c]);
    raw_[c].resize(static_cast<std::size_t>(rows * columns_[c].row_bytes()));
    read_hdf5_rows(file_, columns_[c], row_, rows, raw_[c].data(), scratch);
  }

  ThreadPool& pool_;
  std::vector<Hdf5Column> columns_;
  InputFile file_;
  std::int64_t row_, end_ = 0;
  std::vector<std::string> raw_;  // [columns]: of the rows read last
  std::vector<Hdf5Scratch> scratch_;
  std::vector<std::unique_ptr<Hdf5ChildColumn>> children_;  // [columns]; null where direct
};

/// One value after the other of a data set's bytes: value `index` of each row of `width`.
class Values {
 public:
  Values(const Hdf5Element& element, std::string_view raw, std::int64_t index, std::int64_t width)
      : element_(element),
        left_(raw.substr(static_cast<std::size_t>(index) * element.bytes)),
        step_(static_cast<std::size_t>(width) * element.bytes) {}

  FieldVerdict put_next(const RecordRules& rules, std::size_t c, RecordColumn& to) {
    if (element_.kind == Kind::integer) return put_integer(rules, c, to);
    if (element_.kind == Kind::real) return rules.put_number(c, real(), to);
    shown_ = text();
    if (to.kind == ColumnKind::number && !rules.is_missing(shown_)) return FieldVerdict::no_number;
    return rules.put_text(c, shown_, true, to);
  }
  /// The value that was refused.
  std::string shown() const { return std::string(shown_); }

 private:
  std::uint64_t bits() {
    char bytes[8] = {};
    std::memcpy(bytes, left_.data(), element_.bytes);
    left_.remove_prefix(std::min(step_, left_.size()));
    const auto bits = std::bit_cast<std::uint64_t>(bytes);
    return element_.big_endian ? __builtin_bswap64(bits) >> (64 - 8 * element_.bytes) : bits;
  }
  FieldVerdict put_integer(const RecordRules& rules, std::size_t c, RecordColumn& to) {
    const std::uint64_t value = bits();
    if (!element_.is_signed && value >> 63) {
      if (to.kind == ColumnKind::number) return rules.put_number(c, static_cast<double>(value), to);
      return rules.put_text(c, std::to_string(value), true, to);
    }
    const unsigned unused = 64 - 8 * element_.bytes;
    return rules.put_integer(c,
                             element_.is_signed
                                 ? static_cast<std::int64_t>(value << unused) >> unused
                                 : static_cast<std::int64_t>(value),
                             to);
  }
  double real() {
    const std::uint64_t value = bits();
    return element_.bytes == 4 ? std::bit_cast<float>(static_cast<std::uint32_t>(value))
                               : std::bit_cast<double>(value);
  }
  std::string_view text() {
    std::uint32_t length = element_.bytes;
    if (element_.kind == Kind::variable_text) {
      std::memcpy(&length, left_.data(), sizeof length);
      left_.remove_prefix(sizeof length);
    }
    std::string_view text = left_.substr(0, length);
    left_.remove_prefix(length);
    if (element_.kind == Kind::text) {  // padded with zeros or blanks
      text = text.substr(0, text.find('\0'));
      text = text.substr(0, text.find_last_not_of(' ') + 1);
    }
    return text;
  }

  const Hdf5Element& element_;
  std::string_view left_, shown_ = "out of range";
  std::size_t step_;  // of numbers
};

class Hdf5Records : public RecordStream {
 public:
  Hdf5Records(const std::vector<std::string>& files, const RecordReadOptions& options)
      : options_(options),
        pool_(options.threads),
        rules_(
            options.columns.empty() && !files.empty() ? columns_of_file(files[0]) : options.columns,
            options.missing),
        sources_(rules_.columns()) {
    expect(options.parts >= 1 && options.part >= 0 && options.part < options.parts,
           ErrorKind::usage, "part {} of {} does not exist", options.part, options.parts);
    expect(!rules_.columns().empty(), ErrorKind::data,
           "{}: no data sets of numbers or texts that could be columns",
           files.empty() ? "no file" : files[0]);
    std::vector<std::int64_t> rows;
    for (const std::string& file : files)
      rows.push_back(common_rows(file, sources_.locate(file, rules_.columns())));
    slices_ = slices_of_part(files, rows, options.part, options.parts);
  }

  const std::vector<ColumnSpec>& columns() const override { return rules_.columns(); }
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override {
    std::int64_t rows = 0;
    for (const FileSlice& slice : slices_) rows += slice.count;
    return rows;
  }

  bool next(RecordChunk& chunk) override {
    do {
      while (!open_ || open_->left() == 0) {
        if (slice_ == slices_.size()) return false;
        open_ = std::make_unique<OpenSlice>(slices_[slice_++], rules_.columns(), sources_, pool_);
      }
      take(chunk, std::min(open_->left(), std::max<std::int64_t>(1, options_.chunk_rows)));
    } while (chunk.rows == 0);
    return true;
  }

 private:
  void take(RecordChunk& chunk, std::int64_t rows) {
    const std::int64_t first = open_->row();
    open_->read(rows);
    rules_.restart(chunk.columns);
    std::vector<Values> values;
    for (std::size_t c = 0; c < chunk.columns.size(); ++c) {
      const std::size_t d = sources_.dataset_of[c];
      values.emplace_back(open_->element(d), open_->raw(d), sources_.index_of[c], open_->width(d));
    }
    chunk.rows = 0;
    RecordColumn passed;  // takes what stands behind a refused value of its row
    for (std::int64_t row = first; row < first + rows; ++row) {
      bool good = true;
      for (std::size_t c = 0; c < values.size(); ++c) {
        if (!good) passed.restart(rules_.columns()[c].kind);
        const FieldVerdict verdict =
            values[c].put_next(rules_, c, good ? chunk.columns[c] : passed);
        if (!good || verdict == FieldVerdict::good) continue;
        good = false;
        reject_record(report_, options_.bad_records, why_refused(verdict),
                      fmt::format("{}: row {}: {}", open_->path(), row,
                                  rules_.message(c, verdict, values[c].shown())));
      }
      if (!good)
        for (RecordColumn& column : chunk.columns) column.truncate(chunk.rows);
      chunk.rows += good;
    }
    chunk.first_row = report_.rows;
    report_.rows += chunk.rows;
  }

  RecordReadOptions options_;
  ThreadPool pool_;
  RecordRules rules_;
  Sources sources_;
  std::vector<FileSlice> slices_;
  std::size_t slice_ = 0;
  std::unique_ptr<OpenSlice> open_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<RecordStream> open_hdf5_records(const std::vector<std::string>& files,
                                                const RecordReadOptions& options) {
  return std::make_unique<Hdf5Records>(files, options);
}

}  // namespace gradmill
