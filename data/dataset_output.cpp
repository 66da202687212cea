#include "data/dataset_output.h"

#include <filesystem>
#include <random>

namespace gradmill {
namespace {

namespace fs = std::filesystem;

void check_target(const fs::path& target, bool force) {
  std::error_code none;
  if (!fs::exists(fs::symlink_status(target, none))) return;
  expect(force, ErrorKind::cannot_write,
         "{}: exists already; give another name, or --force to replace it", target.string());
  // --force must not remove a folder of something else.
  expect(fs::is_directory(target, none) &&
             (fs::is_empty(target, none) || fs::exists(target / Dataset::kFileName, none)),
         ErrorKind::cannot_write, "{}: is not a converted data set, so it is not replaced",
         target.string());
}

}  // namespace

DatasetOutput::DatasetOutput(const std::string& folder, const ConvertOptions& options)
    : replace_(options.force) {
  expect(options.shards >= 1 && options.shards <= 99999, ErrorKind::usage,
         "{} shards; expected 1 to 99999", options.shards);
  expect(options.deflate >= 0 && options.deflate <= 9, ErrorKind::usage,
         "deflate level {}; expected 0 to 9", options.deflate);
  expect(options.chunk_rows >= 1 && options.chunk_rows <= 1 << 24, ErrorKind::usage,
         "chunks of {} rows; expected 1 to {}", options.chunk_rows, 1 << 24);
  fs::path target = fs::path(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  expect(!target.filename().empty() && target.filename() != "..", ErrorKind::usage,
         "\"{}\" is no name for a folder", folder);
  check_target(target, options.force);
  target_ = target.string();
}

void DatasetOutput::create(const Dataset& dataset) {
  expect(dataset.rows > 0, ErrorKind::data, "the source has no rows; nothing was written");
  const fs::path target = target_;
  std::random_device random;
  const std::string path =
      (target.parent_path() /
       fmt::format(".{}.converting-{:08x}", target.filename().string(), random()))
          .string();
  if (!target.parent_path().empty()) create_folder(target.parent_path().string());
  std::error_code error;
  expect(fs::create_directory(path, error), ErrorKind::cannot_write, "{}: cannot be created: {}",
         path, error.message());
  path_ = path;
}

DatasetOutput::~DatasetOutput() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

ConvertReport DatasetOutput::publish(const Dataset& dataset) {
  OutputFile manifest(path_ + "/" + Dataset::kFileName);
  manifest.write(dataset_to_json(dataset));
  manifest.finish();
  sync_folder(path_);
  replace_ ? publish_over(path_, target_) : gradmill::publish(path_, target_);
  path_.clear();
  ConvertReport report;
  report.bytes = dataset.bytes();
  report.shards = static_cast<int>(dataset.shards.size());
  report.folder = target_;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  return report;
}

std::string shard_name(const Dataset& dataset, int shard, int shards,
                       const ConvertOptions& options) {
  const char* extension = dataset.format == ShardFormat::hdf5 ? "h5"
                          : options.deflate > 0               ? "tfrecord.gz"
                                                              : "tfrecord";
  return fmt::format("part-{:05}-of-{:05}.{}", shard, shards, extension);
}

void check_unchanged(bool same) {
  expect(same, ErrorKind::data,
         "the source changed while it was converted: its rows are others now");
}

}  // namespace gradmill
