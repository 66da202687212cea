#include "data/validate.h"

#include <nlohmann/json.hpp>

#include <optional>

#include "data/dataset.h"
#include "data/duplicate_counter.h"
#include "data/id_codes.h"
#include "data/rating_source.h"
#include "data/validate_source.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

/// Everything that is known of the rows only when all were seen.
class RowChecks {
 public:
  RowChecks(const ValidationOptions& options, ValidationReport& report)
      : options_(options), report_(report), duplicates_(options.memory_bytes) {}

  void add(const RatingChunk& chunk) {
    const auto rows = static_cast<std::size_t>(chunk.rows());
    report_.has_values |= !chunk.values.empty();
    report_.has_weights |= !chunk.weights.empty();
    report_.has_timestamps |= !chunk.timestamps.empty();
    user_.resize(rows);
    item_.resize(rows);
    users_.add_all(chunk.users, user_.data());
    items_.add_all(chunk.items, item_.data());
    if (options_.duplicates)
      for (std::size_t r = 0; r < rows; ++r)
        duplicates_.add(std::uint64_t{static_cast<std::uint32_t>(user_[r])} << 32 |
                        static_cast<std::uint32_t>(item_[r]));
    for (std::size_t r = 0; r < chunk.values.size(); ++r) {
      const float value = chunk.values[r];
      if (value >= options_.min_value && value <= options_.max_value) continue;
      if (++report_.outside == 1)
        first_outside_ = fmt::format("{} in sound row {} (from 0)", value,
                                     report_.rows + static_cast<std::int64_t>(r));
    }
    values_.add(chunk.values);
    weights_.add(chunk.weights);
    times_.add(chunk.timestamps);
    report_.rows += chunk.rows();
  }

  void finish() {
    report_.users = users_.size();
    report_.items = items_.size();
    report_.value = values_.range();
    report_.weight = weights_.range();
    report_.first_timestamp = times_.first;
    report_.last_timestamp = times_.last;
    if (options_.duplicates) report_.duplicates = duplicates_.count();
    if (report_.outside > 0)
      add_problem(report_, fmt::format("{}: {} values outside of [{}, {}]; the first is {}",
                                       report_.path, report_.outside, options_.min_value,
                                       options_.max_value, first_outside_));
  }

 private:
  const ValidationOptions& options_;
  ValidationReport& report_;
  IdCodes users_, items_;
  std::vector<std::int32_t> user_, item_;
  DuplicateCounter duplicates_;
  ValueSum values_, weights_;
  TimeRange times_;
  std::string first_outside_;
};

void compare(const Dataset& recorded, ValidationReport& report) {
  const auto same = [&](const char* what, auto is, auto expected) {
    if (is != expected)
      add_problem(report, fmt::format("{}: {} is {}, but dataset.json says {}", report.path, what,
                                      is, expected));
  };
  same("the number of rows", report.rows, recorded.rows);
  same("the number of users", report.users, recorded.users);
  same("the number of items", report.items, recorded.items);
  same("the least rating", report.value.min, recorded.value.min);
  same("the greatest rating", report.value.max, recorded.value.max);
}

}  // namespace

ValidationReport validate_ratings(const std::string& path, const ValidationOptions& options) {
  ValidationReport report;
  report.path = path;
  const RatingFormat format = find_rating_files(path).format;
  std::optional<Dataset> recorded;
  if (format == RatingFormat::dataset) recorded = check_files(path, report);
  RatingReadOptions read = options.read;
  read.bad_records = BadRecords::skip;
  read.verify = false;  // done
  RowChecks checks(options, report);
  const std::size_t before = report.problems.size();
  read_all<RatingChunk>([&] { return open_ratings(path, read); },
                        [&](const RatingChunk& chunk) { checks.add(chunk); }, recorded.has_value(),
                        report);
  checks.finish();
  if (report.rows == 0 && report.problems.empty())
    add_problem(report, fmt::format("{}: has no rows", path));
  const bool whole = options.read.parts == 1 && options.read.has_values;
  if (recorded && whole && report.problems.size() == before) compare(*recorded, report);
  return report;
}

std::string ValidationReport::to_text() const {
  std::string text = fmt::format("{}: {}\n", path, ok() ? "valid" : "NOT valid");
  const auto line = [&](std::string_view name, const auto& value) {
    text += fmt::format("  {:<14} {}\n", name, value);
  };
  line("rows", rows);
  line("users", users);
  line("items", items);
  if (has_values) line("ratings", range_text(value));
  if (has_weights) line("weights", range_text(weight));
  if (has_timestamps) line("timestamps", fmt::format("{} to {}", first_timestamp, last_timestamp));
  line("duplicates", duplicates);
  line("malformed", malformed);
  line("missing", missing);
  line("non-finite", non_finite);
  line("out of range", out_of_range);
  if (outside > 0) line("outside", outside);
  if (shards > 0) line("shards checked", shards);
  for (const std::string& problem : problems) text += fmt::format("  problem: {}\n", problem);
  return text;
}

std::string ValidationReport::to_json() const {
  nlohmann::json json{{"path", path},
                      {"valid", ok()},
                      {"rows", rows},
                      {"users", users},
                      {"items", items},
                      {"duplicates", duplicates},
                      {"malformed", malformed},
                      {"missing", missing},
                      {"non_finite", non_finite},
                      {"out_of_range", out_of_range},
                      {"outside", outside},
                      {"shards", shards},
                      {"problems", problems}};
  if (has_values) json["rating"] = range_json(value);
  if (has_weights) json["weight"] = range_json(weight);
  if (has_timestamps) json["timestamp"] = {{"min", first_timestamp}, {"max", last_timestamp}};
  // Paths and examples may hold bytes that are not UTF-8.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace gradmill
