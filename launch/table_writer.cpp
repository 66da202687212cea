#include "launch/table_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "data/files.h"
#include "data/utf8.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

/// A file under its final name only when it is whole, or standard output.
class TextSink {
 public:
  explicit TextSink(const std::string& path) : path_(path) {
    if (!path.starts_with('-')) file_.emplace(path, Existing::replace);
  }
  const std::string& path() const { return path_; }
  void write(std::string_view text) {
    if (file_) return file_->write(text);
    while (!text.empty()) {
      const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
      expect(written >= 0 || errno == EINTR, ErrorKind::io, "standard output: cannot write: {}",
             std::generic_category().message(errno));
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  void finish() {
    if (file_) file_->finish();
  }

 private:
  std::string path_;
  std::optional<OutputFile> file_;
};

std::string csv_field(std::string_view text) {
  const bool plain = text.find_first_of(",\"\r\n") == std::string_view::npos && !text.empty() &&
                     text.front() != ' ' && text.back() != ' ';
  if (plain) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string json_string(std::string_view text, const std::string& path) {
  expect(is_utf8(text), ErrorKind::data,
         "{}: id {:?} is not UTF-8, which JSON needs; write .csv instead", path, text);
  return nlohmann::json(text).dump();
}

/// The text of one cell; numbers look the same in both formats.
struct CellText {
  std::int64_t row;
  bool json;
  const std::string& path;

  std::string operator()(const IdColumn* ids) const {
    if (ids->kind == IdColumn::Kind::i64)
      return fmt::format("{}", ids->numbers[static_cast<std::size_t>(row)]);
    return json ? json_string(ids->text(row), path) : csv_field(ids->text(row));
  }
  template <class T>
  std::string operator()(std::span<const T> values) const {
    const T value = values[static_cast<std::size_t>(row)];
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) return json ? "null" : "";
    }
    return fmt::format("{}", value);
  }
};

void check_columns(const std::vector<TableColumn>& columns, std::size_t names) {
  require(columns.size() == names, "table: {} columns for {} names", columns.size(), names);
  for (const TableColumn& column : columns) {
    require(column_rows(column) == column_rows(columns[0]), "table: columns of {} and {} rows",
            column_rows(columns[0]), column_rows(column));
  }
}

class TextTable : public TableWriter {
 public:
  TextTable(const std::string& path, std::vector<std::string> names, bool json)
      : sink_(path), names_(std::move(names)), json_(json) {
    for (std::string& name : names_) name = json ? json_string(name, path) + ':' : csv_field(name);
    if (!json_) sink_.write(fmt::format("{}\n", fmt::join(names_, ",")));
  }
  void append(const std::vector<TableColumn>& columns) override {
    check_columns(columns, names_.size());
    std::string text;
    for (std::int64_t row = 0; !columns.empty() && row < column_rows(columns[0]); ++row) {
      for (std::size_t c = 0; c < columns.size(); ++c) {
        if (c > 0) text += ',';
        if (json_) text += (c == 0 ? "{" : "") + names_[c];
        text += std::visit(CellText{row, json_, sink_.path()}, columns[c]);
      }
      text += json_ ? "}\n" : "\n";
      if (text.size() > (1 << 20)) {
        sink_.write(text);
        text.clear();
      }
    }
    sink_.write(text);
  }
  void finish() override { sink_.finish(); }

 private:
  TextSink sink_;
  std::vector<std::string> names_;
  bool json_;
};

}  // namespace

std::int64_t column_rows(const TableColumn& column) {
  const auto* ids = std::get_if<const IdColumn*>(&column);
  if (ids) return (*ids)->size();
  return std::visit(
      [](const auto& values) {
        if constexpr (std::is_pointer_v<std::decay_t<decltype(values)>>)
          return std::int64_t{0};
        else
          return static_cast<std::int64_t>(values.size());
      },
      column);
}

std::unique_ptr<TableWriter> open_table(const std::string& path, std::vector<std::string> names) {
  if (path == "-" || path.ends_with(".csv"))
    return std::make_unique<TextTable>(path, std::move(names), false);
  if (path.ends_with(".jsonl")) return std::make_unique<TextTable>(path, std::move(names), true);
  fail(ErrorKind::usage, "{}: a name ending in .csv or .jsonl expected", path);
}

}  // namespace gradmill
