#include "data/rating_source.h"
#include "data/validate_source.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

void compare(const SampleSummary& recorded, SampleValidationReport& report) {
  const SampleSummary& found = report.summary;
  const auto same = [&](const char* what, auto is, auto expected) {
    if (is != expected)
      add_problem(report, fmt::format("{}: {} is {}, but dataset.json says {}", report.path, what,
                                      is, expected));
  };
  same("the number of rows", found.rows, recorded.rows);
  same("the number of entries", found.entries, recorded.entries);
  same("the least label", found.label.min, recorded.label.min);
  same("the greatest label", found.label.max, recorded.label.max);
  same("the least value", found.value.min, recorded.value.min);
  same("the greatest value", found.value.max, recorded.value.max);
  if (found.classes != recorded.classes)
    add_problem(report,
                fmt::format("{}: the labels are others than those in dataset.json", report.path));
}

}  // namespace

SampleValidationReport validate_samples(const std::string& path, const OpenSamples& source,
                                        const SampleValidationOptions& options) {
  SampleValidationReport report;
  report.path = path;
  std::optional<Dataset> recorded;
  if (find_rating_files(path).format == RatingFormat::dataset) recorded = check_files(path, report);
  SampleReadOptions read = options.read;
  read.bad_records = BadRecords::skip;
  read.verify = false;  // done
  const std::size_t before = report.problems.size();
  SampleSum sum;
  std::string first_outside;
  std::int64_t num_features = 0;
  read_all<SampleChunk>(
      [&] {
        auto stream = source(read);
        num_features = stream->num_features();
        return stream;
      },
      [&](const SampleChunk& chunk) {
        for (std::size_t r = 0; r < chunk.labels.size(); ++r) {
          const float label = chunk.labels[r];
          if (label >= options.min_value && label <= options.max_value) continue;
          if (++report.outside == 1)
            first_outside = fmt::format("{} in sound row {} (from 0)", label,
                                        chunk.first_row + static_cast<std::int64_t>(r));
        }
        sum.add(chunk);
      },
      recorded.has_value(), report);
  report.summary = sum.summary();
  report.summary.num_features = std::max(report.summary.num_features, num_features);
  report.rows = report.summary.rows;
  if (report.outside > 0)
    add_problem(report,
                fmt::format("{}: {} labels outside of [{}, {}]; the first is {}", path,
                            report.outside, options.min_value, options.max_value, first_outside));
  if (report.rows == 0 && report.problems.empty())
    add_problem(report, fmt::format("{}: has no rows", path));
  if (recorded && recorded->kind == DataKind::samples && options.read.parts == 1 &&
      report.problems.size() == before)
    compare(recorded->samples, report);
  return report;
}

SampleValidationReport validate_samples(const std::string& path,
                                        const SampleValidationOptions& options) {
  return validate_samples(
      path, [&](const SampleReadOptions& read) { return open_samples(path, read); }, options);
}

std::string SampleValidationReport::to_text() const {
  constexpr std::size_t kShownClasses = 10;
  std::string text = fmt::format("{}: {}\n", path, ok() ? "valid" : "NOT valid");
  const auto line = [&](std::string_view name, const auto& value) {
    text += fmt::format("  {:<14} {}\n", name, value);
  };
  const SampleSummary& s = summary;
  line("samples", rows);
  line("features", s.num_features);
  line("entries", s.entries);
  line("in a row", range_text(s.row_entries));
  line("labels", range_text(s.label));
  for (std::size_t c = 0; c < s.classes.size() && s.classes.size() <= kShownClasses; ++c)
    line("", fmt::format("{:g}: {} rows", s.classes[c].label, s.classes[c].rows));
  if (s.classes.size() > kShownClasses) line("", fmt::format("{} distinct", s.classes.size()));
  line("values", range_text(s.value));
  if (s.has_weights) line("weights", range_text(s.weight));
  line("malformed", malformed);
  line("missing", missing);
  line("non-finite", non_finite);
  line("out of range", out_of_range);
  if (outside > 0) line("outside", outside);
  if (shards > 0) line("shards checked", shards);
  for (const std::string& problem : problems) text += fmt::format("  problem: {}\n", problem);
  return text;
}

std::string SampleValidationReport::to_json() const {
  const SampleSummary& s = summary;
  nlohmann::json classes = nlohmann::json::array();
  for (const auto& [label, rows_of] : s.classes)
    classes.push_back({{"label", label}, {"rows", rows_of}});
  nlohmann::json json{{"path", path},
                      {"valid", ok()},
                      {"rows", rows},
                      {"num_features", s.num_features},
                      {"entries", s.entries},
                      {"row_entries", range_json(s.row_entries)},
                      {"label", range_json(s.label)},
                      {"classes", classes},
                      {"value", range_json(s.value)},
                      {"malformed", malformed},
                      {"missing", missing},
                      {"non_finite", non_finite},
                      {"out_of_range", out_of_range},
                      {"outside", outside},
                      {"shards", shards},
                      {"problems", problems}};
  if (s.has_weights) json["weight"] = range_json(s.weight);
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace gradmill
