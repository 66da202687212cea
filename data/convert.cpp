#include "data/convert.h"

#include <chrono>
#include <filesystem>
#include <optional>
#include <random>

#include "data/dataset.h"
#include "data/shard_writer.h"
#include "data/slice_sequence.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;

/// A folder that is removed unless it was published under its final name.
class TemporaryOutput {
 public:
  explicit TemporaryOutput(const fs::path& target) {
    std::random_device random;
    path_ = (target.parent_path() /
             fmt::format(".{}.converting-{:08x}", target.filename().string(), random()))
                .string();
    if (!target.parent_path().empty()) create_folder(target.parent_path().string());
    std::error_code error;
    expect(fs::create_directory(path_, error), ErrorKind::cannot_write, "{}: cannot be created: {}",
           path_, error.message());
  }
  ~TemporaryOutput() {
    std::error_code ignored;
    if (!published_) fs::remove_all(path_, ignored);
  }
  TemporaryOutput(TemporaryOutput&&) = delete;
  const std::string& path() const { return path_; }
  void publish_as(const std::string& target, bool replace) {
    sync_folder(path_);
    replace ? publish_over(path_, target) : publish(path_, target);
    published_ = true;
  }

 private:
  std::string path_;
  bool published_ = false;
};

/// Digest of rows, to see that two readings gave the same.
class RowDigest {
 public:
  void add(const RatingChunk& chunk) {
    add_ids(chunk.users);
    add_ids(chunk.items);
    add_values(chunk.values);
    add_values(chunk.weights);
    add_values(chunk.timestamps);
  }
  std::string hex() const { return hasher_.hex(); }

 private:
  void add_ids(const IdColumn& ids) {
    add_values(ids.numbers);
    hasher_.update(ids.bytes.data(), ids.bytes.size());
    add_values(ids.ends);
  }
  template <class T>
  void add_values(const std::vector<T>& values) {
    hasher_.update(values.data(), values.size() * sizeof(T));
  }
  Hasher hasher_;
};

/// What the first reading finds out.
struct Survey {
  Dataset dataset;  // all but files
  Vocabulary users, items;
  ReadReport read;
  std::string digest;
};

Survey survey(RatingStream& stream) {
  Survey found;
  IdCodes users, items;
  std::vector<std::int32_t> codes;
  ValueSum values, weights;
  TimeRange times;
  RowDigest digest;
  RatingChunk chunk;
  Dataset& dataset = found.dataset;
  while (stream.next(chunk)) {
    const bool has_values = !chunk.values.empty(), has_weights = !chunk.weights.empty(),
               has_timestamps = !chunk.timestamps.empty();
    if (dataset.rows == 0) {
      dataset.has_values = has_values;
      dataset.has_weights = has_weights;
      dataset.has_timestamps = has_timestamps;
    }
    expect(dataset.has_values == has_values && dataset.has_weights == has_weights &&
               dataset.has_timestamps == has_timestamps,
           ErrorKind::data, "row {}: the files have different columns", chunk.first_row);
    digest.add(chunk);
    dataset.rows += chunk.rows();
    codes.resize(static_cast<std::size_t>(chunk.rows()));
    users.add_all(chunk.users, codes.data());
    items.add_all(chunk.items, codes.data());
    values.add(chunk.values);
    weights.add(chunk.weights);
    times.add(chunk.timestamps);
  }
  found.users = Vocabulary(users.ids());
  found.items = Vocabulary(items.ids());
  found.read = stream.report();
  found.digest = digest.hex();
  dataset.user_ids = found.users.kind();
  dataset.item_ids = found.items.kind();
  dataset.users = found.users.size();
  dataset.items = found.items.size();
  dataset.value = values.range();
  dataset.weight = weights.range();
  dataset.first_timestamp = times.first;
  dataset.last_timestamp = times.last;
  return found;
}

FileRecord write_vocabulary(const std::string& folder, const char* name,
                            const Vocabulary& vocabulary) {
  OutputFile file(folder + "/" + name);
  file.write(vocabulary.serialize());
  return file.finish();
}

/// Second reading: deals rows to the shards in turn.
void write_shards(RatingStream& stream, const std::string& folder, Survey& found,
                  const ConvertOptions& options) {
  Dataset& dataset = found.dataset;
  const auto shards = static_cast<int>(std::min<std::int64_t>(options.shards, dataset.rows));
  const std::string extension = dataset.format == ShardFormat::hdf5 ? "h5"
                                : options.deflate > 0               ? "tfrecord.gz"
                                                                    : "tfrecord";
  std::unique_ptr<ShardWriter> writer;
  std::int64_t left = 0;  // rows of the open shard that are still to come
  RowDigest digest;
  RatingChunk chunk;
  const char* changed = "the source changed while it was converted";
  while (stream.next(chunk)) {
    digest.add(chunk);
    if (dataset.user_ids == IdColumn::Kind::string) chunk.users.make_text();
    if (dataset.item_ids == IdColumn::Kind::string) chunk.items.make_text();
    for (std::int64_t row = 0; row < chunk.rows();) {
      if (!writer) {
        const auto s = static_cast<int>(dataset.shards.size());
        expect(s < shards, ErrorKind::data, "{}: it has more rows now", changed);
        left = part_begin(dataset.rows, s + 1, shards) - part_begin(dataset.rows, s, shards);
        dataset.shards.push_back({{}, left});
        const std::string path =
            fmt::format("{}/part-{:05}-of-{:05}.{}", folder, s, shards, extension);
        writer = make_shard_writer(path, left, dataset, found.users, found.items, options);
      }
      const std::int64_t count = std::min(left, chunk.rows() - row);
      writer->append(chunk, row, count);
      row += count;
      left -= count;
      if (left > 0) continue;
      dataset.shards.back().file = writer->finish();
      writer.reset();
    }
  }
  expect(!writer && digest.hex() == found.digest, ErrorKind::data, "{}: its rows are others now",
         changed);
}

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

ConvertReport convert_ratings(const RatingOpener& source, const std::string& folder,
                              const ConvertOptions& options) {
  expect(options.shards >= 1 && options.shards <= 99999, ErrorKind::usage,
         "{} shards; expected 1 to 99999", options.shards);
  expect(options.deflate >= 0 && options.deflate <= 9, ErrorKind::usage,
         "deflate level {}; expected 0 to 9", options.deflate);
  expect(options.chunk_rows >= 1 && options.chunk_rows <= 1 << 24, ErrorKind::usage,
         "chunks of {} rows; expected 1 to {}", options.chunk_rows, 1 << 24);
  const auto begin = std::chrono::steady_clock::now();
  fs::path target = fs::path(folder).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  expect(!target.filename().empty() && target.filename() != "..", ErrorKind::usage,
         "\"{}\" is no name for a folder", folder);
  check_target(target, options.force);

  Survey found = survey(*source());
  expect(found.dataset.rows > 0, ErrorKind::data, "the source has no rows; nothing was written");
  found.dataset.format = options.to;
  TemporaryOutput output(target);
  found.dataset.user_vocabulary = write_vocabulary(output.path(), "users.vocab", found.users);
  found.dataset.item_vocabulary = write_vocabulary(output.path(), "items.vocab", found.items);
  write_shards(*source(), output.path(), found, options);
  OutputFile manifest(output.path() + "/" + Dataset::kFileName);
  manifest.write(dataset_to_json(found.dataset));
  manifest.finish();
  output.publish_as(target.string(), options.force);

  ConvertReport report;
  report.read = found.read;
  report.users = found.dataset.users;
  report.items = found.dataset.items;
  report.bytes = found.dataset.bytes();
  report.shards = static_cast<int>(found.dataset.shards.size());
  report.folder = target.string();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

ConvertReport convert_ratings(const std::string& source, const std::string& folder,
                              const ConvertOptions& options) {
  RatingReadOptions read = options.read;
  read.part = 0;
  read.parts = 1;
  return convert_ratings([&] { return open_ratings(source, read); }, folder, options);
}

}  // namespace gradmill
