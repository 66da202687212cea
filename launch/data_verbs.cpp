// convert, inspect, validate, version: what needs no training.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/convert.h"
#include "data/inspect.h"
#include "data/validate.h"
#include "launch/inspect_checkpoint.h"
#include "launch/linear_export.h"
#include "launch/reading.h"
#include "launch/verbs.h"
#include "launch/version.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kBytesPerShard = std::int64_t{256}
                                        << 20;  // of source text, when --shards is not given

int default_shards(const std::string& source) {
  std::error_code none;
  const auto bytes =
      std::filesystem::is_regular_file(source, none) ? std::filesystem::file_size(source, none) : 0;
  return static_cast<int>(
      std::clamp<std::int64_t>(static_cast<std::int64_t>(bytes) / kBytesPerShard + 1, 1, 1024));
}
}  // namespace

int convert_verb(const Options& options, World&, Log& log) {
  ConvertOptions convert;
  convert.to = options.to == "tfrecord" ? ShardFormat::tfrecord : ShardFormat::hdf5;
  convert.shards = options.shards ? options.shards : default_shards(options.target);
  convert.force = options.force;
  convert.deflate = options.deflate;
  const int threads =
      options.config.train.threads ? options.config.train.threads : available_cores();
  const bool samples = is_samples(options.config, options.target);
  ConvertReport report;
  if (samples) {
    const SampleReadOptions read = sample_read_options(options.config.data, threads);
    report = convert_samples([&] { return open_samples(options.target, read); }, options.output,
                             convert);
  } else {
    convert.read = read_options(options.config, threads);
    report = convert_ratings(options.target, options.output, convert);
  }
  log_report(log, options.target, report.read);
  const std::string what = samples
                               ? fmt::format("{} samples of {} features, {} entries",
                                             report.read.rows, report.num_features, report.entries)
                               : fmt::format("{} rows of {} users and {} items", report.read.rows,
                                             report.users, report.items);
  log.info(fmt::format("{}: {} in {} shard(s), {:.1f} MB, {:.1f} s", report.folder, what,
                       report.shards, static_cast<double>(report.bytes) / 1e6, report.seconds));
  return 0;
}

int inspect_verb(const Options& options, World&, Log&) {
  fmt::print("{}", options.top > 0 ? largest_coefficients(options.target, options.top, options.json)
                                   : inspect_path(options.target, options.json));
  return 0;
}

int validate_verb(const Options& options, World&, Log&) {
  const int threads =
      options.config.train.threads ? options.config.train.threads : available_cores();
  const auto run = [&](auto validation, auto read, auto validate) {
    validation.read = read;
    if (options.min_value) validation.min_value = static_cast<float>(*options.min_value);
    if (options.max_value) validation.max_value = static_cast<float>(*options.max_value);
    const auto report = validate(options.target, validation);
    fmt::print("{}", options.json ? report.to_json() : report.to_text());
    return report.ok() ? 0 : exit_code(ErrorKind::data);
  };
  if (is_samples(options.config, options.target))
    return run(SampleValidationOptions(), sample_read_options(options.config.data, threads),
               [](const std::string& path, const SampleValidationOptions& validation) {
                 return validate_samples(path, validation);
               });
  return run(ValidationOptions(), read_options(options.config, threads), validate_ratings);
}

int version_verb(const Options&, World&, Log&) {
  fmt::print("{}\n", version_line());
  return 0;
}

}  // namespace gradmill
