#include "data/convert.h"

#include "data/dataset_output.h"
#include "data/shard_writer.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

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

}  // namespace

ConvertReport convert_ratings(const RatingOpener& source, const std::string& folder,
                              const ConvertOptions& options) {
  DatasetOutput output(folder, options);
  Survey found = survey(*source());
  Dataset& dataset = found.dataset;
  dataset.format = options.to;
  output.create(dataset);
  dataset.user_vocabulary = write_vocabulary(output.path(), "users.vocab", found.users);
  dataset.item_vocabulary = write_vocabulary(output.path(), "items.vocab", found.items);
  RowDigest digest;
  RatingChunk chunk;
  deal_to_shards(
      *source(), chunk, output.path(), dataset, options,
      [&](const std::string& path, std::int64_t rows) {
        return make_shard_writer(path, rows, dataset, found.users, found.items, options);
      },
      [&] {
        digest.add(chunk);
        if (dataset.user_ids == IdColumn::Kind::string) chunk.users.make_text();
        if (dataset.item_ids == IdColumn::Kind::string) chunk.items.make_text();
      });
  check_unchanged(digest.hex() == found.digest);
  ConvertReport report = output.publish(dataset);
  report.read = found.read;
  report.users = dataset.users;
  report.items = dataset.items;
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
