#include "data/hdf5_writer.h"
#include "data/shard_writer.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"

namespace gradmill {
namespace {

constexpr std::int64_t kEntriesOfChunk = 1 << 18;  // 1 MiB

class Hdf5SampleShard : public SampleShardWriter {
 public:
  Hdf5SampleShard(const std::string& path, std::int64_t rows, const Dataset& dataset,
                  const ConvertOptions& options)
      : path_(path),
        writer_(
            path, columns_of(dataset, rows), rows,
            {options.chunk_rows, options.deflate, true, "samples", dataset.samples.num_features}) {
    const std::int64_t zero = 0;
    writer_.append(kOffsets, &zero, 1);
  }

  void append(const SampleChunk& chunk, std::int64_t first, std::int64_t count) override {
    const auto r = static_cast<std::size_t>(first), n = static_cast<std::size_t>(count);
    const std::int64_t begin = chunk.offsets[r], entries = chunk.offsets[r + n] - begin;
    offsets_.clear();
    for (std::size_t row = r + 1; row <= r + n; ++row)
      offsets_.push_back(chunk.offsets[row] - begin + entries_);
    writer_.append(kLabels, chunk.labels.data() + first, count);
    writer_.append(kOffsets, offsets_.data(), count);
    writer_.append(kIndices, chunk.indices.data() + begin, entries);
    writer_.append(kValues, chunk.values.data() + begin, entries);
    if (!chunk.weights.empty()) writer_.append(kWeights, chunk.weights.data() + first, count);
    entries_ += entries;
  }
  FileRecord finish() override {
    writer_.finish();
    return InputFile::open(path_).record();
  }

 private:
  enum Column : std::size_t { kLabels, kOffsets, kIndices, kValues, kWeights };

  static std::vector<Hdf5WriterColumn> columns_of(const Dataset& dataset, std::int64_t rows) {
    using Type = Hdf5WriterColumn::Type;
    const SampleSummary& samples = dataset.samples;
    // A small shard has its entries in one chunk, even if it has somewhat more than the mean.
    const auto entries =
        static_cast<std::int64_t>(1.125 * static_cast<double>(rows) * samples.row_entries.mean) + 1;
    const std::int64_t chunk = std::min(entries, kEntriesOfChunk);
    std::vector<Hdf5WriterColumn> columns = {
        {Type::float32, "labels", "labels", 0, 0},
        {Type::int64, "indptr", "row r has the entries from indptr[r] to indptr[r + 1]", rows + 1,
         0},
        {Type::int32, "indices", "features of the entries, from 0", Hdf5WriterColumn::kGrows,
         chunk},
        {Type::float32, "data", "values of the entries", Hdf5WriterColumn::kGrows, chunk}};
    if (samples.has_weights)
      columns.push_back({Type::float32, "weights", "weights of the rows", 0, 0});
    return columns;
  }

  std::string path_;
  Hdf5Writer writer_;
  std::int64_t entries_ = 0;
  std::vector<std::int64_t> offsets_;
};

class TfRecordSampleShard : public SampleShardWriter {
 public:
  TfRecordSampleShard(const std::string& path, const ConvertOptions& options)
      : writer_(path, options.deflate) {}

  void append(const SampleChunk& chunk, std::int64_t first, std::int64_t count) override {
    for (auto r = static_cast<std::size_t>(first); r < static_cast<std::size_t>(first + count);
         ++r) {
      indices_.assign(chunk.indices.begin() + chunk.offsets[r],
                      chunk.indices.begin() + chunk.offsets[r + 1]);
      values_.assign(chunk.values.begin() + chunk.offsets[r],
                     chunk.values.begin() + chunk.offsets[r + 1]);
      example_.add_float("label", chunk.labels[r]);
      example_.add_int64s("indices", indices_);
      example_.add_floats("values", values_);
      if (!chunk.weights.empty()) example_.add_float("weight", chunk.weights[r]);
      writer_.write(example_.finish());
    }
  }
  FileRecord finish() override { return writer_.finish(); }

 private:
  TfRecordWriter writer_;
  ExampleWriter example_;
  std::vector<std::int64_t> indices_;
  std::vector<float> values_;
};

}  // namespace

std::unique_ptr<SampleShardWriter> make_sample_shard_writer(const std::string& path,
                                                            std::int64_t rows,
                                                            const Dataset& dataset,
                                                            const ConvertOptions& options) {
  if (dataset.format == ShardFormat::tfrecord)
    return std::make_unique<TfRecordSampleShard>(path, options);
  return std::make_unique<Hdf5SampleShard>(path, rows, dataset, options);
}

}  // namespace gradmill
