#include "data/shard_writer.h"

#include "data/hdf5_writer.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

class Hdf5Shard : public ShardWriter {
 public:
  Hdf5Shard(const std::string& path, std::int64_t rows, const Dataset& dataset,
            const Vocabulary& users, const Vocabulary& items, const ConvertOptions& options)
      : path_(path),
        users_(dataset.user_ids == IdColumn::Kind::string ? &users : nullptr),
        items_(dataset.item_ids == IdColumn::Kind::string ? &items : nullptr),
        writer_(path, columns_of(dataset), rows, {options.chunk_rows, options.deflate, true}) {}

  void append(const RatingChunk& chunk, std::int64_t first, std::int64_t count) override {
    append_ids(0, users_, chunk.users, first, count);
    append_ids(1, items_, chunk.items, first, count);
    std::size_t column = 2;
    const auto add = [&](const auto& values) {
      if (!values.empty()) writer_.append(column++, values.data() + first, count);
    };
    add(chunk.values);
    add(chunk.weights);
    add(chunk.timestamps);
  }
  FileRecord finish() override {
    writer_.finish();
    return InputFile::open(path_).record();
  }

 private:
  static std::vector<Hdf5WriterColumn> columns_of(const Dataset& dataset) {
    using Type = Hdf5WriterColumn::Type;
    std::vector<Hdf5WriterColumn> columns;
    const auto add_ids = [&](const char* name, IdColumn::Kind kind, const FileRecord& vocabulary) {
      if (kind == IdColumn::Kind::i64)
        columns.push_back({Type::int64, name, "ids"});
      else
        columns.push_back({Type::int32, name, "rows of the vocabulary " + vocabulary.name});
    };
    add_ids("users", dataset.user_ids, dataset.user_vocabulary);
    add_ids("items", dataset.item_ids, dataset.item_vocabulary);
    if (dataset.has_values) columns.push_back({Type::float32, "values", "ratings"});
    if (dataset.has_weights) columns.push_back({Type::float32, "weights", "weights of the rows"});
    if (dataset.has_timestamps)
      columns.push_back({Type::int64, "timestamps", "times, as in the source"});
    return columns;
  }

  void append_ids(std::size_t column, const Vocabulary* vocabulary, const IdColumn& ids,
                  std::int64_t first, std::int64_t count) {
    if (!vocabulary) return writer_.append(column, ids.numbers.data() + first, count);
    codes_.clear();
    for (std::int64_t row = first; row < first + count; ++row)
      codes_.push_back(vocabulary->find(ids.text(row)));
    for (const std::int32_t code : codes_)
      expect(code >= 0, ErrorKind::data, "the source changed while it was converted: an id is new");
    writer_.append(column, codes_.data(), count);
  }

  std::string path_;
  const Vocabulary *users_, *items_;
  Hdf5Writer writer_;
  std::vector<std::int32_t> codes_;
};

class TfRecordShard : public ShardWriter {
 public:
  TfRecordShard(const std::string& path, const ConvertOptions& options)
      : writer_(path, options.deflate) {}

  void append(const RatingChunk& chunk, std::int64_t first, std::int64_t count) override {
    for (std::int64_t row = first; row < first + count; ++row) {
      const auto r = static_cast<std::size_t>(row);
      add_id("user", chunk.users, row);
      add_id("item", chunk.items, row);
      if (!chunk.values.empty()) example_.add_float("rating", chunk.values[r]);
      if (!chunk.weights.empty()) example_.add_float("weight", chunk.weights[r]);
      if (!chunk.timestamps.empty()) example_.add_int64("timestamp", chunk.timestamps[r]);
      writer_.write(example_.finish());
    }
  }
  FileRecord finish() override { return writer_.finish(); }

 private:
  void add_id(const char* name, const IdColumn& ids, std::int64_t row) {
    if (ids.kind == IdColumn::Kind::i64)
      example_.add_int64(name, ids.numbers[static_cast<std::size_t>(row)]);
    else
      example_.add_bytes(name, ids.text(row));
  }
  TfRecordWriter writer_;
  ExampleWriter example_;
};

}  // namespace

std::unique_ptr<ShardWriter> make_shard_writer(const std::string& path, std::int64_t rows,
                                               const Dataset& dataset, const Vocabulary& users,
                                               const Vocabulary& items,
                                               const ConvertOptions& options) {
  if (dataset.format == ShardFormat::tfrecord)
    return std::make_unique<TfRecordShard>(path, options);
  return std::make_unique<Hdf5Shard>(path, rows, dataset, users, items, options);
}

}  // namespace gradmill
