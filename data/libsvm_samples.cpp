#include <algorithm>

#include "data/byte_source.h"
#include "data/libsvm_parse.h"
#include "data/text_fields.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::size_t kHeadBytes = 1 << 16, kDetectBytes = 4 << 20;
constexpr double kMaxPieceBytes = 2 << 20;  // stays in a core's own cache with what is parsed of it
constexpr std::string_view kTooLongRow =
    "the row is longer than 64 MiB; expected a line for each sample";
constexpr int kSampleLines = 20;

/// The beginning of a file: whole lines, unless it is one line only.
std::string head_of(const std::string& path, std::size_t bytes) {
  std::string text(bytes, '\0');
  text.resize(open_byte_source(path)->read(text.data(), bytes));
  if (text.size() == bytes)
    if (const std::size_t newline = text.rfind('\n'); newline != std::string::npos)
      text.resize(newline + 1);
  return text;
}

TextFile open_file(const std::string& path) {
  TextFile file;
  file.path = path;
  TextLayout& layout = file.layout;
  const std::string head = head_of(path, kHeadBytes);
  expect(!head.starts_with("\xFF\xFE") && !head.starts_with("\xFE\xFF"), ErrorKind::data,
         "{}:1: UTF-16 text; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)", path);
  layout.dialect = {" ", false};
  layout.data_begin = head.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  layout.has_rows = !head.empty();
  const auto lines = std::count(head.begin(), head.end(), '\n');
  layout.record_bytes =
      static_cast<double>(head.size()) / static_cast<double>(std::max<std::ptrdiff_t>(1, lines));
  layout.max_line_bytes = LibsvmFormat().max_line_bytes;
  layout.too_long = kTooLongRow;
  return file;
}

std::int64_t detect_base(const std::string& path) {
  const std::string head = head_of(path, kDetectBytes);
  ParsedSamples parsed;
  LibsvmFormat format;
  format.index_base = 0;
  format.num_features = kMaxFeatures + 1;  // the greatest index, counted from 1
  format.bad_records = BadRecords::skip;
  parse_libsvm(std::string_view(head).substr(head.starts_with("\xEF\xBB\xBF") ? 3 : 0), format,
               parsed);
  const auto& indices = parsed.chunk.indices;
  return std::find(indices.begin(), indices.end(), 0) == indices.end();
}

class LibsvmSamples : public SampleStream {
 public:
  LibsvmSamples(const std::vector<std::string>& paths, const SampleReadOptions& options)
      : options_(options),
        parsed_(static_cast<std::size_t>(options.threads)),
        pieces_(open_files(paths, options), options.threads, options.chunk_rows, kMaxPieceBytes,
                [this](std::string_view text, const TextFile&, std::size_t slot) -> ParsedLines& {
                  parse_libsvm(text, format_, parsed_[slot]);
                  return parsed_[slot];
                }) {
    using Base = SampleReadOptions::IndexBase;
    format_.index_base = options.index_base == Base::detect ? detect_base(paths[0])
                                                            : options.index_base == Base::one;
    if (options.num_features > 0) format_.num_features = options.num_features;
    format_.bad_records = options.bad_records;
    const std::string head = head_of(paths[0], kHeadBytes);
    row_nnz_ = static_cast<double>(std::count(head.begin(), head.end(), ':')) /
               std::max<double>(1, static_cast<double>(std::count(head.begin(), head.end(), '\n')));
  }

  bool next(SampleChunk& chunk) override {
    while (const auto slot = pieces_.next(options_.bad_records, report_)) {
      ParsedSamples& parsed = parsed_[*slot];
      if (parsed.qids > 0 && report_.notes.empty())
        report_.notes.push_back("query numbers (qid) are not used");
      std::swap(chunk, parsed.chunk);
      chunk.first_row = report_.rows;
      report_.rows += chunk.rows();
      if (chunk.rows() > 0) return true;
    }
    return finish();
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t num_features() const override { return options_.num_features; }
  int index_base() const override { return static_cast<int>(format_.index_base); }
  std::int64_t row_estimate() const override { return pieces_.row_estimate(options_.parts); }
  std::int64_t nnz_estimate() const override {
    return static_cast<std::int64_t>(static_cast<double>(row_estimate()) * row_nnz_);
  }

 private:
  static std::vector<TextFile> open_files(const std::vector<std::string>& paths,
                                          const SampleReadOptions& options) {
    expect(!paths.empty(), ErrorKind::usage, "no file to read samples from");
    expect(options.num_features >= 0 && options.num_features <= kMaxFeatures, ErrorKind::usage,
           "{} features; expected at most {}", options.num_features, kMaxFeatures);
    std::vector<TextFile> files;
    for (const std::string& path : paths) files.push_back(open_file(path));
    share_out(files, options.part, options.parts);
    return files;
  }

  bool finish() const {
    if (report_.rows > 0 || options_.parts > 1) return false;  // other parts may have rows
    const std::string& path = pieces_.files()[0].path;
    if (report_.skipped > 0)
      fail(ErrorKind::data, "{}; all {} records are bad", report_.examples[0], report_.skipped);
    fail(ErrorKind::data, "{}: no rows; expected lines of \"label index:value …\"", path);
  }

  SampleReadOptions options_;
  LibsvmFormat format_;
  std::vector<ParsedSamples> parsed_;  // one for each thread
  TextPieces pieces_;
  double row_nnz_ = 0;  // mean of the first rows
  ReadReport report_;
};

}  // namespace

std::unique_ptr<SampleStream> open_libsvm_samples(const std::vector<std::string>& files,
                                                  const SampleReadOptions& options) {
  return std::make_unique<LibsvmSamples>(files, options);
}

bool is_libsvm(const std::string& path) {
  std::string head;
  try {
    head = head_of(path, kHeadBytes);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    return false;
  }
  std::string_view text = head;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  int entries = 0, labels = 0, others = 0;
  while (!text.empty() && entries + labels + others < kSampleLines) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const LibsvmLine line = classify_libsvm_line(text.substr(0, end));
    // The head may end within a line.
    const bool cut = end == text.size() && head.size() == kHeadBytes;
    if (!cut || line != LibsvmLine::other) {
      entries += line == LibsvmLine::entries;
      labels += line == LibsvmLine::label_only;
      others += line == LibsvmLine::other;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return entries > 0 && entries + labels > others;
}

}  // namespace gradmill
