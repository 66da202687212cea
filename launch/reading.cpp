#include "launch/reading.h"

#include <fmt/format.h>

namespace gradmill {

RatingReadOptions read_options(const Config& config, int threads, int part, int parts) {
  const DataConfig& data = config.data;
  RatingReadOptions options;
  options.columns = {data.user, data.item, data.rating, data.weight, data.timestamp};
  options.delimiter = data.delimiter == "tab" || data.delimiter == "\\t" ? "\t" : data.delimiter;
  options.header = data.header == "yes"  ? RatingReadOptions::Header::yes
                   : data.header == "no" ? RatingReadOptions::Header::no
                                         : RatingReadOptions::Header::detect;

  options.layout =
      data.layout == "lists" ? RatingReadOptions::Layout::lists : RatingReadOptions::Layout::rows;
  options.has_values = data.has_ratings;
  options.bad_records = data.bad_records == "skip" ? BadRecords::skip : BadRecords::fail;
  options.threads = threads;
  options.part = part;
  options.parts = parts;
  return options;
}

void log_report(Log& log, const std::string& source, const ReadReport& report) {
  for (const std::string& note : report.notes) log.info(fmt::format("{}: {}", source, note));
  if (report.skipped == 0) return;
  log.warning(fmt::format("{}: {} of {} records were left out; the first:", source, report.skipped,
                          report.rows + report.skipped));
  for (const std::string& example : report.examples) log.warning(example);
}

SampleReadOptions sample_read_options(const DataConfig& data, int threads, int part, int parts) {
  SampleReadOptions options;
  options.columns.label = data.label;
  options.columns.weight = data.weight;
  using Base = SampleReadOptions::IndexBase;
  options.index_base = data.index_base == "0"   ? Base::zero
                       : data.index_base == "1" ? Base::one
                                                : Base::detect;
  options.num_features = data.num_features;
  options.bad_records = data.bad_records == "skip" ? BadRecords::skip : BadRecords::fail;
  options.threads = threads;
  options.part = part;
  options.parts = parts;
  return options;
}

bool is_samples(const Config& config, const std::string& path) {
  const std::string& format = config.data.format;
  if (format != "auto") return format == "libsvm" || format == "csr";
  return find_data_kind(path) == DataKind::samples;
}

}  // namespace gradmill
