// convert, inspect, validate, version: what needs no training.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/convert.h"
#include "data/inspect.h"
#include "data/validate.h"
#include "data/validate_records.h"
#include "launch/inspect_checkpoint.h"
#include "launch/linear_export.h"
#include "launch/reading.h"
#include "launch/record_features.h"
#include "launch/sample_inputs.h"
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
/// A configuration of a model of samples, or options that only records with a label have.
bool wants_features(const Options& options) {
  const Config& config = options.config;
  return config.kind != "mf" || !options.like.empty() || !config.data.label.empty() ||
         !config.data.text.empty() || !config.data.interactions.empty() ||
         config.data.hash_bits > 0;
}

/// The source is read three times: fitted (unless the features are a model's), surveyed, written.
ConvertReport convert_records(const Options& options, const SampleSource& source,
                              ConvertOptions& convert) {
  const std::shared_ptr<const FeaturePipeline> pipeline =
      options.like.empty() ? std::make_shared<const FeaturePipeline>(FeatureFit::merge(
                                 {fit_records(options.config, source).serialize()}))
                           : inputs_of_records(options.like).pipeline;
  convert.features = pipeline.get();
  const RecordReadOptions read = record_options(source.data, source.threads);
  return convert_samples([&] { return open_record_samples(source.path, read, *pipeline); },
                         options.output, convert);
}

/// All columns, or those that a model reads.
RecordValidationReport check_records(const Options& options, int threads) {
  RecordValidationOptions validation;
  validation.read = record_options(options.config.data, threads);
  validation.label = options.config.data.label;
  if (options.min_value) validation.min_value = *options.min_value;
  if (options.max_value) validation.max_value = *options.max_value;
  if (!options.like.empty())
    validation.read.columns = inputs_of_records(options.like).pipeline->columns();
  return validate_records(options.target, validation);
}

std::string found_in(const ConvertReport& report, bool samples) {
  return samples ? fmt::format("{} samples of {} features, {} entries", report.read.rows,
                               report.num_features, report.entries)
                 : fmt::format("{} rows of {} users and {} items", report.read.rows, report.users,
                               report.items);
}
}  // namespace

int convert_verb(const Options& options, World&, Log& log) {
  const Config& config = options.config;
  const bool configured = options.target.ends_with(".toml");
  const std::string& source = configured ? config.data.train : options.target;
  expect(!source.empty(), ErrorKind::usage, "{}: data.train names no source to convert",
         options.target);
  ConvertOptions convert;
  convert.to = options.to == "tfrecord" ? ShardFormat::tfrecord : ShardFormat::hdf5;
  convert.shards = options.shards ? options.shards : default_shards(source);
  convert.force = options.force;
  convert.deflate = options.deflate;
  const int threads = config.train.threads ? config.train.threads : available_cores();
  const bool records = wants_features(options) && has_records(source, config.data.format);
  expect(records || options.like.empty(), ErrorKind::usage,
         "{}: --like makes features of records with columns, and this source has none", source);
  const bool samples = records || is_samples(config, source);
  ConvertReport report;
  if (records) {
    report = convert_records(options, {config.data, source, threads}, convert);
  } else if (samples) {
    const SampleReadOptions read = sample_read_options(config.data, threads);
    report = convert_samples([&] { return open_samples(source, read); }, options.output, convert);
  } else {
    convert.read = read_options(config, threads);
    report = convert_ratings(source, options.output, convert);
  }
  log_report(log, source, report.read);
  log.info(fmt::format("{}: {} in {} shard(s), {:.1f} MB, {:.1f} s", report.folder,
                       found_in(report, samples), report.shards,
                       static_cast<double>(report.bytes) / 1e6, report.seconds));
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
  if (wants_features(options) && has_records(options.target, options.config.data.format)) {
    const RecordValidationReport report = check_records(options, threads);
    fmt::print("{}", options.json ? report.to_json() : report.to_text());
    return report.ok() ? 0 : exit_code(ErrorKind::data);
  }
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
