// Records from delimited text: pieces are parsed side by side.
#include <algorithm>
#include <cmath>

#include "data/csv_record_parse.h"
#include "data/record_rules.h"
#include "data/record_stream.h"
#include "data/text_fields.h"
#include "data/text_pieces.h"
#include "data/text_sample.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Names = std::vector<std::string>;
using Header = RecordReadOptions::Header;

constexpr std::size_t kSampleRecords = 1000;
constexpr double kMaxPieceBytes = 16 << 20;
constexpr std::string_view kRecordTooLong =
    "the record is longer than 1 MiB (is a quote not closed?)";

/// One file's layout and the names of its fields.
struct CsvFile {
  TextLayout layout;
  Names names;
  TextSample sample;
  std::size_t first_record = 0;  // of the sample, behind the header
};

bool is_usual_label(std::string_view name) {
  return name == "label" || name == "target" || name == "class" || name == "y";
}

std::vector<std::string_view> values_of_field(const CsvFile& file, std::size_t field) {
  std::vector<std::string_view> values;
  for (std::size_t r = file.first_record; r < file.sample.records.size(); ++r)
    if (field < file.sample.records[r].size()) values.push_back(file.sample.records[r][field]);
  return values;
}

/// The first record is names if it has no number and a name that was asked for or is usual for a label, or
/// if a column below it is all numbers.
bool is_header(CsvFile& file, const RecordReadOptions& options, const RecordRules& rules) {
  if (options.header != Header::detect) return options.header == Header::yes;
  const Names& first = file.sample.records[0];
  const auto name_of = [](const std::string& field) { return std::string(trimmed(field)); };
  for (const std::string& field : first)
    for (const ColumnSpec& column : options.columns)
      if (!is_number(column.name) && name_of(field) == column.name) return true;
  if (std::any_of(first.begin(), first.end(), is_number)) return false;
  for (const std::string& field : first)
    if (is_usual_label(name_of(field))) return true;
  file.first_record = 1;
  bool found = false;
  for (std::size_t f = 0; f < first.size() && !found; ++f)
    found = kind_of_values(rules, values_of_field(file, f)) == ColumnKind::number;
  file.first_record = 0;
  return found;
}

CsvFile open_file(const std::string& path, const RecordReadOptions& options,
                  const RecordRules& rules) {
  expect(options.delimiter.find_first_of("\"\r\n") == std::string::npos, ErrorKind::usage,
         "a delimiter cannot hold quotes or newlines");
  CsvFile file;
  TextSample& sample = file.sample;
  TextLayout& layout = file.layout;
  read_text_head(path, kSampleRecords, sample);
  layout.data_begin = static_cast<std::int64_t>(sample.begin);
  layout.too_long = kRecordTooLong;
  layout.dialect = {options.delimiter, options.quotes};
  if (options.delimiter.empty())
    layout.dialect.delimiter = find_delimiter(sample, options.quotes, kSampleRecords);
  if (layout.dialect.delimiter.empty()) layout.dialect.delimiter = ",";  // one field
  take_records(sample, layout.dialect, kSampleRecords);
  layout.has_rows = !sample.records.empty();
  if (!layout.has_rows) return file;
  expect(sample.ends[0] <= kMaxLineBytes, ErrorKind::data, "{}:1: {}", path, kRecordTooLong);
  layout.record_bytes = static_cast<double>(sample.ends.back() - sample.begin) /
                        static_cast<double>(sample.records.size());
  const Names first = sample.records[0];
  const bool header = is_header(file, options, rules);
  for (std::size_t f = 0; f < first.size(); ++f) {
    const std::string_view name = trimmed(first[f]);
    file.names.push_back(header && !name.empty() ? std::string(name) : std::to_string(f + 1));
  }
  if (header) {
    file.first_record = 1;
    layout.data_begin = static_cast<std::int64_t>(sample.ends[0]);
    layout.header_lines =
        std::count(sample.text.begin(), sample.text.begin() + layout.data_begin, '\n');
    layout.has_rows = sample.records.size() > 1;
  }
  return file;
}

class CsvRecords : public RecordStream {
 public:
  CsvRecords(const std::vector<std::string>& paths, const RecordReadOptions& options)
      : mode_(options.bad_records),
        parts_(options.parts),
        rules_(open_files(paths, options), options.missing),
        parsed_(static_cast<std::size_t>(options.threads)),
        pieces_(
            take_files(options), options.threads, options.chunk_rows, kMaxPieceBytes,
            [this](std::string_view text, const TextFile& file, std::size_t slot) -> ParsedLines& {
              const auto f = static_cast<std::size_t>(&file - pieces_.files().data());
              parse_csv_records(text, file.layout, fields_[f], rules_, mode_, parsed_[slot]);
              return parsed_[slot];
            }) {}

  const std::vector<ColumnSpec>& columns() const override { return rules_.columns(); }
  const ReadReport& report() const override { return report_; }
  std::int64_t row_estimate() const override { return pieces_.row_estimate(parts_); }

  bool next(RecordChunk& chunk) override {
    while (const auto slot = pieces_.next(mode_, report_)) {
      std::swap(chunk, parsed_[*slot].chunk);
      chunk.first_row = report_.rows;
      report_.rows += chunk.rows;
      if (chunk.rows > 0) return true;
    }
    if (report_.rows == 0 && parts_ == 1) {
      expect(report_.skipped == 0, ErrorKind::data, "{}; all {} records are bad",
             report_.skipped ? report_.examples[0] : "", report_.skipped);
      fail(ErrorKind::data, "{}: no records; every line is blank", pieces_.files()[0].path);
    }
    return false;
  }

 private:
  /// Fills files_ and fields_; gives the columns.
  std::vector<ColumnSpec> open_files(const std::vector<std::string>& paths,
                                     const RecordReadOptions& options);
  std::vector<TextFile> take_files(const RecordReadOptions& options) {
    share_out(files_, options.part, options.parts);
    return std::move(files_);
  }

  BadRecords mode_;
  int parts_;
  std::vector<TextFile> files_;  // until pieces_ has them
  std::vector<CsvRecordFields> fields_;
  RecordRules rules_;
  std::vector<ParsedRecords> parsed_;  // one for each thread
  TextPieces pieces_;
  ReadReport report_;
};

std::vector<ColumnSpec> CsvRecords::open_files(const std::vector<std::string>& paths,
                                               const RecordReadOptions& options) {
  const RecordRules rules({}, options.missing);
  std::vector<ColumnSpec> columns = options.columns;
  const bool all = columns.empty();
  for (const std::string& path : paths) {
    const CsvFile file = open_file(path, options, rules);
    if (all && columns.empty())
      for (std::size_t f = 0; f < file.names.size(); ++f)
        columns.push_back({file.names[f], kind_of_values(rules, values_of_field(file, f))});
    CsvRecordFields fields{file.names.size(), {}};
    if (!file.names.empty())
      for (std::size_t c = 0; c < columns.size(); ++c)
        fields.uses.push_back({find_column(path + ":1", file.names, columns[c].name), c});
    std::stable_sort(fields.uses.begin(), fields.uses.end(),
                     [](const auto& a, const auto& b) { return a.field < b.field; });
    files_.push_back({path, file.layout});
    fields_.push_back(std::move(fields));
  }
  expect(std::any_of(files_.begin(), files_.end(),
                     [](const TextFile& f) { return f.layout.has_rows; }),
         ErrorKind::data, "{}: no records", paths.empty() ? "no file" : paths[0]);
  return columns;
}

}  // namespace

std::unique_ptr<RecordStream> open_csv_records(const std::vector<std::string>& files,
                                               const RecordReadOptions& options) {
  return std::make_unique<CsvRecords>(files, options);
}

}  // namespace gradmill
