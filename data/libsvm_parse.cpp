#include "data/libsvm_parse.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "data/decimal.h"
#include "data/text_fields.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::int64_t kMaxExamples = 10;
// Blanks apart, an entry and what is read behind it fit into this.
constexpr std::ptrdiff_t kEntryBytes = 16 + kDecimalBytes;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// The next run of bytes that are no blanks; empty at the end of the line.
std::string_view next_token(std::string_view line, std::size_t& at) {
  while (at < line.size() && is_blank(line[at])) ++at;
  const std::size_t begin = at;
  while (at < line.size() && !is_blank(line[at])) ++at;
  return line.substr(begin, at - begin);
}

bool parse_whole(std::string_view text, std::int64_t& number) {
  if (text.empty() || !is_digit(text[0])) return false;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status == std::errc::result_out_of_range) number = std::numeric_limits<std::int64_t>::max();
  return status != std::errc::invalid_argument && end == text.data() + text.size();
}

/// Without its comment and the CR of a CRLF.
std::string_view record_of(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line.substr(0, line.find('#'));
}

/// A record that is refused; never leaves this file.
struct Refusal {
  BadRecord why;
  std::size_t byte;  // of the line
  std::string what;
};

class Parser {
 public:
  Parser(std::string_view text, const LibsvmFormat& format, ParsedSamples& out)
      : text_(text), end_(text.data() + text.size()), format_(format), out_(out) {
    SampleChunk& c = out.chunk;
    c.offsets.assign(1, 0);
    c.labels.clear();
    c.weights.clear();
    out.bad = 0;
    out.bad_by = {};
    out.examples.clear();
    out.too_long = false;
    out.lines = 0;
    out.qids = 0;
    // "1:1 " is the shortest entry.
    if (const std::size_t most = text.size() / 4 + 1; out.capacity < most) {
      out.indices = std::make_unique_for_overwrite<std::int32_t[]>(most);
      out.values = std::make_unique_for_overwrite<float[]>(most);
      out.capacity = most;
    }
  }

  void run() {
    const char* p = text_.data();
    while (p < end_) {
      const char* next = fast_row(p);
      if (!next) next = careful_row(p);
      if (!next) break;
      p = next;
    }
    SampleChunk& c = out_.chunk;
    c.indices.assign(out_.indices.get(), out_.indices.get() + entries_);
    c.values.assign(out_.values.get(), out_.values.get() + entries_);
  }

 private:
  const char* fast_row(const char* p);
  const char* careful_row(const char* p);
  void take_record(std::string_view record);
  void take_entry(std::string_view token, std::size_t byte, std::size_t at);
  void sort_row(std::size_t byte, std::size_t count);
  void finish_row(float label, std::size_t count) {
    entries_ += count;
    out_.chunk.labels.push_back(label);
    out_.chunk.offsets.push_back(static_cast<std::int64_t>(entries_));
  }

  std::string_view text_;
  const char* end_;
  const LibsvmFormat& format_;
  ParsedSamples& out_;
  std::size_t entries_ = 0;
};

// A row whose entries are in order, read without looking twice. Returns the next line, or nullptr if the
// row is another one.
const char* Parser::fast_row(const char* const begin) {
  if (end_ - begin < kEntryBytes) return nullptr;
  float label;
  const char* p = fast_decimal(begin, label);
  if (!p) return nullptr;
  std::int32_t* indices = out_.indices.get() + entries_;
  float* values = out_.values.get() + entries_;
  const std::int64_t base = format_.index_base, limit = format_.num_features;
  std::int64_t previous = -1;
  std::size_t count = 0;
  bool qid = false;
  while (is_blank(*p)) {
    do ++p;
    while (is_blank(*p));
    if (end_ - p < kEntryBytes) return nullptr;
    std::uint64_t number, more;
    int digits = digits_at(p, number);
    if (digits == 0) {
      if (std::memcmp(p, "qid:", 4) != 0 || count > 0 || qid) break;
      qid = true;
      digits = digits_at(p += 4, number);
      if (digits == 0 || digits == 8) return nullptr;
      p += digits;
      continue;
    }
    p += digits;
    if (digits == 8)
      for (; is_digit(*p) && digits < 10; ++digits) {
        more = static_cast<std::uint64_t>(*p++ - '0');
        number = number * 10 + more;
      }
    if (*p != ':') return nullptr;
    const std::int64_t index = static_cast<std::int64_t>(number) - base;
    p = fast_decimal(p + 1, values[count]);
    if (!p || index <= previous || index >= limit) return nullptr;
    indices[count++] = static_cast<std::int32_t>(index);
    previous = index;
  }
  if (*p == '#') {
    const auto left = static_cast<std::size_t>(end_ - p);
    const void* newline = std::memchr(p, '\n', left);
    p = newline ? static_cast<const char*>(newline) : end_;
  }
  if (*p == '\r') ++p;
  if (*p != '\n' || static_cast<std::size_t>(p - begin) > format_.max_line_bytes) return nullptr;
  out_.qids += qid;
  ++out_.lines;
  finish_row(label, count);
  return p + 1;
}

// Any other line: a comment, a row that is bad or whose entries are not in order, the last of the piece.
// Returns the next line, or nullptr if nothing more is to be read.
const char* Parser::careful_row(const char* begin) {
  const auto left = static_cast<std::size_t>(end_ - begin);
  const void* newline = std::memchr(begin, '\n', left);
  const char* end = newline ? static_cast<const char*>(newline) : end_;
  const std::string_view line(begin, static_cast<std::size_t>(end - begin));
  const auto note = [&](BadRecord why, std::size_t byte, std::string what) {
    ++out_.bad;
    ++out_.bad_by[static_cast<std::size_t>(why)];
    if (out_.bad <= kMaxExamples)
      out_.examples.push_back(
          {why, out_.lines, static_cast<std::int64_t>(byte) + 1, std::move(what)});
  };
  bool stop = false;
  if (line.size() > format_.max_line_bytes) {
    out_.examples.resize(std::min<std::size_t>(out_.examples.size(), kMaxExamples - 1));
    out_.bad = static_cast<std::int64_t>(out_.examples.size());
    note(BadRecord::malformed, 0,
         fmt::format("the row is longer than {} bytes", format_.max_line_bytes));
    stop = out_.too_long = true;
  } else {
    try {
      take_record(record_of(line));
    } catch (Refusal& refusal) {
      note(refusal.why, refusal.byte, std::move(refusal.what));
      stop = format_.bad_records == BadRecords::fail;
    }
  }
  if (newline) ++out_.lines;
  return stop ? nullptr : end + (newline != nullptr);
}

void Parser::take_record(std::string_view record) {
  std::size_t at = 0;
  const std::string_view first = next_token(record, at);
  if (first.empty()) return;
  const std::size_t label_byte = at - first.size();
  if (first.find(':') != std::string_view::npos)
    throw Refusal{BadRecord::missing, label_byte, "the row has no label before its entries"};
  float label;
  if (!parse_value(first, label)) {
    if (first.find(',') != std::string_view::npos)
      throw Refusal{BadRecord::malformed, label_byte,
                    fmt::format("label is {}: rows of several labels (multi-label files) are not "
                                "read; make a file for each label",
                                quoted(first))};
    throw Refusal{why_no_number(first), label_byte,
                  fmt::format("label is {}; expected a finite number", quoted(first))};
  }
  std::size_t count = 0, last_byte = 0;
  std::int64_t previous = -1;
  bool in_order = true, qid = false;
  for (std::string_view token; !(token = next_token(record, at)).empty();) {
    const std::size_t byte = at - token.size();
    if (token.starts_with("qid:") && count == 0 && !qid) {
      std::int64_t query;
      if (!parse_whole(token.substr(4), query))
        throw Refusal{BadRecord::malformed, byte,
                      fmt::format("{}; expected qid and a whole number", quoted(token))};
      qid = true;
      continue;
    }
    take_entry(token, byte, entries_ + count);
    const std::int64_t index = out_.indices[entries_ + count++];
    in_order = in_order && index > previous;
    previous = index;
    last_byte = byte;
  }
  if (!in_order) sort_row(last_byte, count);
  out_.qids += qid;
  finish_row(label, count);
}

void Parser::take_entry(std::string_view token, std::size_t byte, std::size_t at) {
  const std::size_t colon = token.find(':');
  std::int64_t index = 0;
  if (colon == std::string_view::npos || !parse_whole(token.substr(0, colon), index))
    throw Refusal{BadRecord::malformed, byte,
                  fmt::format("{} is no entry; expected index:value", quoted(token))};
  if (index < format_.index_base)
    throw Refusal{BadRecord::out_of_range, byte,
                  "feature index is 0, but indices begin at 1 here (no index 0 in the first 4 MiB "
                  "of the first file); say index_base = \"0\" if they begin at 0"};
  index -= format_.index_base;
  if (index >= format_.num_features)
    throw Refusal{BadRecord::out_of_range, byte,
                  fmt::format("feature index is {}; the greatest is {} ({} features{})",
                              token.substr(0, colon), format_.num_features - 1 + format_.index_base,
                              format_.num_features, format_.index_base ? ", from 1" : ", from 0")};
  const std::string_view number = token.substr(colon + 1);
  if (!parse_value(number, out_.values[at]))
    throw Refusal{why_no_number(number), byte + colon + 1,
                  fmt::format("value of feature {} is {}; expected a finite number",
                              token.substr(0, colon), quoted(number))};
  out_.indices[at] = static_cast<std::int32_t>(index);
}

void Parser::sort_row(std::size_t byte, std::size_t count) {
  std::int32_t* indices = out_.indices.get() + entries_;
  float* values = out_.values.get() + entries_;
  std::vector<std::pair<std::int32_t, float>> row(count);
  for (std::size_t e = 0; e < count; ++e) row[e] = {indices[e], values[e]};
  std::sort(row.begin(), row.end(), [](auto& a, auto& b) { return a.first < b.first; });
  for (std::size_t e = 0; e < count; ++e) {
    indices[e] = row[e].first;
    values[e] = row[e].second;
    if (e > 0 && indices[e] == indices[e - 1])
      throw Refusal{BadRecord::malformed, byte,
                    fmt::format("feature index {} stands twice in the row",
                                row[e].first + format_.index_base)};
  }
}

}  // namespace

void parse_libsvm(std::string_view text, const LibsvmFormat& format, ParsedSamples& out) {
  Parser(text, format, out).run();
}

LibsvmLine classify_libsvm_line(std::string_view line) {
  const std::string_view record = record_of(line);
  std::size_t at = 0;
  std::string_view token = next_token(record, at);
  if (token.empty()) return LibsvmLine::blank;
  // A multi-label row is recognized too, so that the reader can say why it refuses it.
  float number;
  while (!token.empty()) {
    const std::size_t comma = std::min(token.find(','), token.size());
    if (!parse_value(token.substr(0, comma), number)) return LibsvmLine::other;
    token.remove_prefix(std::min(comma + 1, token.size()));
  }
  bool entries = false;
  while (!(token = next_token(record, at)).empty()) {
    const std::size_t colon = token.find(':');
    std::int64_t index;
    if (colon == std::string_view::npos) return LibsvmLine::other;
    const std::string_view name = token.substr(0, colon), value = token.substr(colon + 1);
    if (!parse_value(value, number) || (name != "qid" && !parse_whole(name, index)))
      return LibsvmLine::other;
    entries = true;
  }
  return entries ? LibsvmLine::entries : LibsvmLine::label_only;
}

}  // namespace gradmill
