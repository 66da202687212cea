#include "launch/table_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "data/files.h"
#include "data/hdf5_table.h"
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

/// Types are known from the first rows on, so the file is made then.
class Hdf5TableWriter : public TableWriter {
 public:
  Hdf5TableWriter(std::string path, std::vector<std::string> names)
      : path_(std::move(path)), names_(std::move(names)) {}
  void append(const std::vector<TableColumn>& columns) override {
    check_columns(columns, names_.size());
    if (!table_) table_ = std::make_unique<Hdf5Table>(path_, typed(columns));
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::visit([&](const auto& values) { append(c, values); }, columns[c]);
    }
  }
  void finish() override {
    require(table_ != nullptr, "{}: no columns were given", path_);
    table_->finish();
  }

 private:
  using Type = Hdf5TableColumn::Type;
  static Type type_of(const IdColumn* ids) {
    return ids->kind == IdColumn::Kind::i64 ? Type::int64 : Type::text;
  }
  static Type type_of(std::span<const float>) { return Type::float32; }
  static Type type_of(std::span<const double>) { return Type::float64; }
  static Type type_of(std::span<const std::int64_t>) { return Type::int64; }
  std::vector<Hdf5TableColumn> typed(const std::vector<TableColumn>& columns) const {
    std::vector<Hdf5TableColumn> result;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      result.push_back(
          {std::visit([](const auto& v) { return type_of(v); }, columns[c]), names_[c]});
    }
    return result;
  }
  void append(std::size_t column, const IdColumn* ids) { table_->append(column, *ids); }
  template <class T>
  void append(std::size_t column, std::span<const T> values) {
    table_->append(column, values.data(), static_cast<std::int64_t>(values.size()));
  }

  std::string path_;
  std::vector<std::string> names_;
  std::unique_ptr<Hdf5Table> table_;
};

}  // namespace

std::int64_t column_rows(const TableColumn& column) {
  if (const auto* ids = std::get_if<const IdColumn*>(&column)) return (*ids)->size();
  if (const auto* f32 = std::get_if<std::span<const float>>(&column)) return std::ssize(*f32);
  if (const auto* f64 = std::get_if<std::span<const double>>(&column)) return std::ssize(*f64);
  return std::ssize(std::get<std::span<const std::int64_t>>(column));
}

std::unique_ptr<TableWriter> open_table(const std::string& path, std::vector<std::string> names) {
  if (path == "-" || path.ends_with(".csv"))
    return std::make_unique<TextTable>(path, std::move(names), false);
  if (path.ends_with(".jsonl")) return std::make_unique<TextTable>(path, std::move(names), true);
  if (path.ends_with(".h5") || path.ends_with(".hdf5")) {
    return std::make_unique<Hdf5TableWriter>(path, std::move(names));
  }
  fail(ErrorKind::usage, "{}: a name ending in .csv, .jsonl, .h5 or .hdf5 expected", path);
}

}  // namespace gradmill
