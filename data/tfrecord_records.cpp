// Records from TFRecords of tf.Example: features of one value as columns.
#include <algorithm>
#include <optional>

#include "data/rating_columns.h"
#include "data/record_checks.h"
#include "data/record_rules.h"
#include "data/record_stream.h"
#include "data/slice_sequence.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"
#include "data/tfrecord_ratings.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Kind = ExampleFeature::Kind;

constexpr std::int64_t kSampleRecords = 100;

/// The features of the first records, by name, and the kinds of their values; those that have more than one
/// value are left out.
std::vector<ColumnSpec> columns_of_sample(const std::string& path) {
  struct Seen {
    bool text = false, list = false;
  };
  std::vector<std::pair<std::string, Seen>> all;
  TfRecordReader reader(path);
  std::string_view payload;
  std::vector<ExampleFeature> features;
  for (std::int64_t r = 0; r < kSampleRecords && reader.next(payload); ++r) {
    try {
      decode_example(payload, features);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      continue;
    }
    for (const ExampleFeature& feature : features) {
      auto at = std::find_if(all.begin(), all.end(),
                             [&](const auto& seen) { return seen.first == feature.name; });
      if (at == all.end()) at = all.insert(all.end(), {std::string(feature.name), {}});
      at->second.list |= feature.count > 1;
      at->second.text |= feature.count > 0 && feature.kind == Kind::bytes;
    }
  }
  std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.first < b.first; });
  std::vector<ColumnSpec> columns;
  for (const auto& [name, seen] : all)
    if (!seen.list) columns.push_back({name, seen.text ? ColumnKind::text : ColumnKind::number});
  return columns;
}

class TfRecordRecords : public RecordStream {
 public:
  TfRecordRecords(const std::vector<std::string>& files, const RecordReadOptions& options)
      : options_(options), rules_(find_columns(files, options), options.missing) {
    expect(options.parts >= 1 && options.part >= 0 && options.part < options.parts,
           ErrorKind::usage, "part {} of {} does not exist", options.part, options.parts);
    if (options.parts == 1) {
      for (const std::string& file : files) slices_.push_back({file});
      return;
    }
    std::vector<std::int64_t> rows;
    for (const std::string& file : files) rows.push_back(count_tfrecords(file));
    slices_ = slices_of_part(files, rows, options.part, options.parts);
  }

  const std::vector<ColumnSpec>& columns() const override { return rules_.columns(); }
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override {
    std::int64_t rows = 0;
    for (const FileSlice& slice : slices_) rows += std::max<std::int64_t>(0, slice.count);
    return rows;
  }

  bool next(RecordChunk& chunk) override {
    rules_.restart(chunk.columns);
    chunk.rows = 0;
    while (chunk.rows < options_.chunk_rows && take_record(chunk)) continue;
    chunk.first_row = report_.rows;
    report_.rows += chunk.rows;
    return chunk.rows > 0;
  }

 private:
  static std::vector<ColumnSpec> find_columns(const std::vector<std::string>& files,
                                              const RecordReadOptions& options) {
    std::vector<ColumnSpec> columns = options.columns;
    for (std::size_t f = 0; f < files.size() && columns.empty(); ++f)
      columns = columns_of_sample(files[f]);
    expect(!columns.empty(), ErrorKind::data, "{}: no records with features of one value",
           files.empty() ? "no file" : files[0]);
    return columns;
  }

  /// False at the end of the last slice.
  bool next_payload(std::string_view& payload) {
    for (;;) {
      if (!reader_) {
        if (slice_ == slices_.size()) return false;
        const FileSlice& slice = slices_[slice_++];
        reader_.emplace(slice.path);
        left_ = slice.count;
        for (std::int64_t i = 0; i < slice.first; ++i)
          expect(reader_->skip(), ErrorKind::data,
                 "{}: ends after {} records, more were expected; it is truncated", slice.path, i);
      }
      if (left_ != 0 && reader_->next(payload)) {
        if (left_ > 0) --left_;
        return true;
      }
      expect(left_ <= 0, ErrorKind::data, "{}: ends after {} records; {} more were expected",
             reader_->name(), reader_->record(), left_);
      reader_.reset();
    }
  }

  bool take_record(RecordChunk& chunk) {
    try {
      std::string_view payload;
      if (!next_payload(payload)) return false;
      decode_example(payload, features_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data || !reader_ || reader_->lost()) throw;
      if (left_ > 0 && std::string_view(error.what()).starts_with(reader_->name())) --left_;
      reject(BadRecord::malformed, error.what());
      return true;
    }
    for (std::size_t c = 0; c < chunk.columns.size(); ++c) {
      std::string shown;
      const FieldVerdict verdict = put(c, chunk.columns[c], shown);
      if (verdict == FieldVerdict::good) continue;
      for (RecordColumn& column : chunk.columns) column.truncate(chunk.rows);
      reject(why_refused(verdict), rules_.message(c, verdict, shown));
      return true;
    }
    ++chunk.rows;
    return true;
  }

  FieldVerdict put(std::size_t c, RecordColumn& to, std::string& shown) const {
    const ExampleFeature* feature = find_feature(features_, rules_.columns()[c].name);
    if (!feature || feature->count == 0) return rules_.put_missing(c, to);
    if (feature->count > 1) {
      shown = fmt::format("a list of {} values", feature->count);
      return FieldVerdict::no_text;
    }
    FieldVerdict verdict;
    if (feature->kind == Kind::bytes) {
      const std::string_view text = feature->bytes_value();
      shown = text;
      if (to.kind == ColumnKind::number && !rules_.is_missing(text)) return FieldVerdict::no_number;
      return rules_.put_text(c, text, true, to);
    }
    if (feature->kind == Kind::int64s) {
      verdict = rules_.put_integer(c, feature->int64_value(), to);
      if (verdict != FieldVerdict::good) shown = fmt::format("{}", feature->int64_value());
    } else {
      verdict = rules_.put_number(c, feature->float_value(), to);
      if (verdict != FieldVerdict::good) shown = fmt::format("{}", feature->float_value());
    }
    return verdict;
  }

  void reject(BadRecord why, std::string text) {
    if (!text.starts_with(reader_->name()))
      text = fmt::format("{}: record {} at byte {}: {}", reader_->name(), reader_->record(),
                         reader_->offset(), text);
    reject_record(report_, options_.bad_records, why, text);
  }

  RecordReadOptions options_;
  RecordRules rules_;
  std::vector<FileSlice> slices_;
  std::size_t slice_ = 0;
  std::optional<TfRecordReader> reader_;
  std::int64_t left_ = -1;  // records of the slice; -1: to the end
  std::vector<ExampleFeature> features_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<RecordStream> open_tfrecord_records(const std::vector<std::string>& files,
                                                    const RecordReadOptions& options) {
  return std::make_unique<TfRecordRecords>(files, options);
}

}  // namespace gradmill
