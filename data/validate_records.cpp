#include "data/validate_records.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "data/validate_source.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::size_t kMostTexts = 10'000;  // distinct ones of a column that are counted
constexpr std::size_t kShownTexts = 8;

/// What is counted of a column while it is read.
class ColumnCount {
 public:
  explicit ColumnCount(const ColumnSpec& spec) {
    summary_.name = spec.name;
    summary_.kind = spec.kind;
  }
  void add(const RecordColumn& column, std::int64_t rows) {
    for (std::int64_t row = 0; row < rows; ++row)
      column.kind == ColumnKind::number ? add(column.numbers[static_cast<std::size_t>(row)])
                                        : add(std::string(column.texts.text(row)));
  }
  ColumnSummary summary() {
    summary_.range = {least_, most_, count_ ? sum_ / static_cast<double>(count_) : 0};
    std::vector<std::pair<std::string, std::int64_t>> all(texts_.begin(), texts_.end());
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    summary_.more = static_cast<std::int64_t>(all.size());
    all.resize(std::min(all.size(), kShownTexts));
    summary_.more -= static_cast<std::int64_t>(all.size());
    summary_.values = std::move(all);
    return summary_;
  }

 private:
  void add(double value) {
    if (std::isnan(value)) {
      ++summary_.missing;
      return;
    }
    least_ = count_ ? std::min(least_, value) : value;
    most_ = count_ ? std::max(most_, value) : value;
    sum_ += value;
    ++count_;
  }
  void add(std::string text) {
    if (text.empty()) {
      ++summary_.missing;
      return;
    }
    const auto known = texts_.find(text);
    if (known != texts_.end())
      ++known->second;
    else if (texts_.size() < kMostTexts)
      texts_.emplace(std::move(text), 1);
  }

  ColumnSummary summary_;
  double least_ = 0, most_ = 0, sum_ = 0;
  std::int64_t count_ = 0;
  std::unordered_map<std::string, std::int64_t> texts_;
};
}  // namespace

RecordValidationReport validate_records(const std::string& path,
                                        const RecordValidationOptions& options) {
  RecordValidationReport report;
  report.path = path;
  RecordReadOptions read = options.read;
  read.bad_records = BadRecords::skip;
  std::vector<ColumnCount> counts;
  std::string first_outside;
  std::size_t label = std::string::npos;
  read_all<RecordChunk>(
      [&] {
        auto stream = open_records(path, read);
        for (const ColumnSpec& column : stream->columns()) {
          if (column.name == options.label) label = counts.size();
          counts.emplace_back(column);
        }
        return stream;
      },
      [&](const RecordChunk& chunk) {
        for (std::size_t c = 0; c < chunk.columns.size(); ++c)
          counts[c].add(chunk.columns[c], chunk.rows);
        if (label != std::string::npos)
          for (std::size_t r = 0; r < chunk.columns[label].numbers.size(); ++r) {
            const double value = chunk.columns[label].numbers[r];
            if (std::isnan(value) || (value >= options.min_value && value <= options.max_value))
              continue;
            if (++report.outside == 1)
              first_outside = fmt::format("{:g} in sound record {} (from 0)", value,
                                          chunk.first_row + static_cast<std::int64_t>(r));
          }
        report.rows += chunk.rows;
      },
      /*is_known=*/false, report);
  expect(options.label.empty() || label != std::string::npos || counts.empty(), ErrorKind::usage,
         "{}: there is no column \"{}\" for the label", path, options.label);
  if (report.outside > 0)
    add_problem(report,
                fmt::format("{}: {} labels outside of [{}, {}]; the first is {}", path,
                            report.outside, options.min_value, options.max_value, first_outside));
  for (ColumnCount& count : counts) report.columns.push_back(count.summary());
  if (report.rows == 0 && report.problems.empty())
    add_problem(report, fmt::format("{}: has no records", path));
  return report;
}

std::string RecordValidationReport::to_text() const {
  std::string text = fmt::format("{}: {}\n", path, ok() ? "valid" : "NOT valid");
  const auto line = [&](std::string_view name, const auto& value) {
    text += fmt::format("  {:<18} {}\n", name, value);
  };
  line("records", rows);
  for (const ColumnSummary& column : columns) {
    const bool number = column.kind == ColumnKind::number;
    const std::size_t distinct = column.values.size() + static_cast<std::size_t>(column.more);
    std::string what = number ? "number, " + range_text(column.range)
                              : fmt::format("text, {}{} distinct", distinct,
                                            distinct == kMostTexts ? " or more" : "");
    if (column.missing) what += fmt::format(", {} missing", column.missing);
    line(column.name, what);
    if (!number && column.more == 0)
      for (const auto& [value, count] : column.values)
        line("", fmt::format("{}: {} records", value, count));
  }
  line("malformed", malformed);
  line("missing", missing);
  line("non-finite", non_finite);
  line("out of range", out_of_range);
  if (outside > 0) line("outside", outside);
  for (const std::string& problem : problems) text += fmt::format("  problem: {}\n", problem);
  return text;
}

std::string RecordValidationReport::to_json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const ColumnSummary& column : columns) {
    nlohmann::json one{{"name", column.name}, {"missing", column.missing}};
    if (column.kind == ColumnKind::number) {
      one["kind"] = "number";
      one["range"] = range_json(column.range);
    } else {
      one["kind"] = "text";
      one["values"] = nlohmann::json::array();
      for (const auto& [value, count] : column.values)
        one["values"].push_back({{"value", value}, {"records", count}});
      one["more_values"] = column.more;
    }
    list.push_back(std::move(one));
  }
  const nlohmann::json json{{"path", path},
                            {"valid", ok()},
                            {"rows", rows},
                            {"columns", list},
                            {"malformed", malformed},
                            {"missing", missing},
                            {"non_finite", non_finite},
                            {"out_of_range", out_of_range},
                            {"outside", outside},
                            {"problems", problems}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace gradmill
