#include "data/validate_source.h"

#include "runtime/expect.h"

namespace gradmill {

constexpr std::size_t kMaxProblems = 50;

void add_problem(SourceReport& report, std::string text) {
  if (report.problems.size() < kMaxProblems) report.problems.push_back(std::move(text));
}

void take_read_report(const ReadReport& read, SourceReport& report) {
  const auto count = [&](BadRecord why) { return read.skipped_by[static_cast<std::size_t>(why)]; };
  report.malformed = count(BadRecord::malformed);
  report.missing = count(BadRecord::missing);
  report.non_finite = count(BadRecord::non_finite);
  report.out_of_range = count(BadRecord::out_of_range);
  for (const std::string& example : read.examples) add_problem(report, example);
  if (const auto more = read.skipped - static_cast<std::int64_t>(read.examples.size()); more > 0)
    add_problem(report, fmt::format("{}: {} more bad records", report.path, more));
}

/// Digests of all files of a converted data set; what is wrong with each is told.
std::optional<Dataset> check_files(const std::string& folder, SourceReport& report) {
  const auto attempt = [&](const auto& check) {
    try {
      check();
      return true;
    } catch (const Error& error) {
      add_problem(report, error.what());
      return false;
    }
  };
  Dataset dataset;
  if (!attempt([&] { dataset = read_dataset(folder); })) return std::nullopt;
  const Folder opened = Folder::open(folder);
  for (const FileRecord* record : {&dataset.user_vocabulary, &dataset.item_vocabulary})
    if (dataset.kind == DataKind::ratings) attempt([&] { (void)read_vocabulary(opened, *record); });
  if (dataset.features) attempt([&] { (void)read_features(opened, dataset); });
  for (std::size_t s = 0; s < dataset.shards.size(); ++s) {
    attempt([&] { (void)open_shard(opened, dataset, s, true); });
    ++report.shards;
  }
  return dataset;
}

std::string range_text(const ValueRange& range) {
  return fmt::format("{:g} to {:g}, mean {:.6g}", range.min, range.max, range.mean);
}

nlohmann::json range_json(const ValueRange& range) {
  return {{"min", range.min}, {"max", range.max}, {"mean", range.mean}};
}

}  // namespace gradmill
