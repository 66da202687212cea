// Records from JSON lines: pieces are parsed side by side.
#include <algorithm>

#include "data/bad_text_notes.h"
#include "data/csv_record_parse.h"
#include "data/json_line.h"
#include "data/json_record_parse.h"
#include "data/record_rules.h"
#include "data/record_stream.h"
#include "data/text_fields.h"
#include "data/text_sample.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::size_t kSampleRecords = 1000;
constexpr double kMaxPieceBytes = 16 << 20;
constexpr std::size_t kMaxJsonLine = 16 << 20;
constexpr std::string_view kRecordTooLong =
    "the line is longer than 16 MiB; expected a JSON object on each line";

struct JsonFile {
  TextLayout layout;
  TextSample sample;
};

JsonFile open_file(const std::string& path) {
  JsonFile file;
  read_text_head(path, kSampleRecords, file.sample);
  file.layout.data_begin = static_cast<std::int64_t>(file.sample.begin);
  file.layout.dialect = {"\n", false};
  file.layout.max_line_bytes = kMaxJsonLine;
  file.layout.too_long = kRecordTooLong;
  const std::string_view text = std::string_view(file.sample.text).substr(file.sample.begin);
  file.layout.has_rows = text.find_first_not_of(" \t\r\n") != std::string_view::npos;
  const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  file.layout.record_bytes = static_cast<double>(text.size()) / static_cast<double>(lines);
  return file;
}

/// The names in the first lines, in the order of their first appearance, and the kinds of their values. Names
/// with an object or a list are left out.
std::vector<ColumnSpec> columns_of_sample(const TextSample& sample, const RecordRules& rules) {
  struct Seen {
    std::string name;
    bool numbers = false, texts = false, nested = false;
  };
  std::vector<Seen> all;
  const auto seen = [&](std::string_view name) -> Seen& {
    for (Seen& s : all)
      if (s.name == name) return s;
    return all.emplace_back(Seen{std::string(name)});
  };
  JsonLine parser;
  std::vector<JsonLine::Member> members;
  std::string_view text = std::string_view(sample.text).substr(sample.begin);
  for (std::size_t line = 0; line < kSampleRecords && !text.empty(); ++line) {
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos && !sample.is_whole) break;
    const std::string_view record = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    if (parser.parse(record, members).what) continue;
    for (const auto& [name, value] : members) {
      Seen& s = seen(name);
      using Kind = JsonValue::Kind;
      s.nested |= value.kind == Kind::nested;
      s.numbers |= value.kind == Kind::number || value.kind == Kind::boolean;
      s.texts |= value.kind == Kind::string && !rules.is_missing(value.text);
    }
  }
  std::vector<ColumnSpec> columns;
  for (const Seen& s : all)
    if (!s.nested)
      columns.push_back({s.name, s.numbers && !s.texts ? ColumnKind::number : ColumnKind::text});
  return columns;
}

class JsonRecords : public RecordStream {
 public:
  JsonRecords(const std::vector<std::string>& paths, const RecordReadOptions& options)
      : mode_(options.bad_records),
        parts_(options.parts),
        rules_(open_files(paths, options), options.missing),
        parsed_(static_cast<std::size_t>(options.threads)),
        pieces_(
            take_files(options), options.threads, options.chunk_rows, kMaxPieceBytes,
            [this](std::string_view text, const TextFile& file, std::size_t slot) -> ParsedLines& {
              parse_json_records(text, file.layout, rules_, mode_, parsed_[slot]);
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
    if (report_.rows == 0 && parts_ == 1 && report_.skipped > 0)
      fail(ErrorKind::data, "{}; all {} records are bad", report_.examples[0], report_.skipped);
    return false;
  }

 private:
  std::vector<ColumnSpec> open_files(const std::vector<std::string>& paths,
                                     const RecordReadOptions& options) {
    std::vector<ColumnSpec> columns = options.columns;
    for (const std::string& path : paths) {
      const JsonFile file = open_file(path);
      if (columns.empty())
        columns = columns_of_sample(file.sample, RecordRules({}, options.missing));
      files_.push_back({path, file.layout});
    }
    const bool any = std::any_of(files_.begin(), files_.end(),
                                 [](const TextFile& f) { return f.layout.has_rows; });
    expect(any && !columns.empty(), ErrorKind::data,
           "{}: no records; expected a JSON object with members on each line",
           paths.empty() ? "no file" : paths[0]);
    return columns;
  }
  std::vector<TextFile> take_files(const RecordReadOptions& options) {
    share_out(files_, options.part, options.parts);
    return std::move(files_);
  }

  BadRecords mode_;
  int parts_;
  std::vector<TextFile> files_;  // until pieces_ has them
  RecordRules rules_;
  std::vector<ParsedRecords> parsed_;  // one for each thread
  TextPieces pieces_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<RecordStream> open_json_records(const std::vector<std::string>& files,
                                                const RecordReadOptions& options) {
  return std::make_unique<JsonRecords>(files, options);
}

}  // namespace gradmill
