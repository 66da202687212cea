#include "data/dataset_output.h"
#include "data/shard_writer.h"

namespace gradmill {
namespace {

/// Digest of samples, to see that two readings gave the same.
class SampleDigest {
 public:
  void add(const SampleChunk& chunk) {
    add_all(chunk.offsets);
    add_all(chunk.indices);
    add_all(chunk.values);
    add_all(chunk.labels);
    add_all(chunk.weights);
  }
  std::string hex() const { return hasher_.hex(); }

 private:
  template <class T>
  void add_all(const std::vector<T>& values) {
    hasher_.update(values.data(), values.size() * sizeof(T));
  }
  Hasher hasher_;
};

}  // namespace

ConvertReport convert_samples(const SampleOpener& source, const std::string& folder,
                              const ConvertOptions& options) {
  DatasetOutput output(folder, options);
  Dataset dataset;
  dataset.kind = DataKind::samples;
  dataset.format = options.to;
  SampleChunk chunk;
  SampleDigest first, second;
  SampleSum sum;
  const auto stream = source();
  while (stream->next(chunk)) {
    expect(sum.rows() == 0 || sum.has_weights() == !chunk.weights.empty(), ErrorKind::data,
           "row {}: some files have weights and some have none", chunk.first_row);
    first.add(chunk);
    sum.add(chunk);
  }
  dataset.samples = sum.summary();
  dataset.samples.num_features = std::max(dataset.samples.num_features, stream->num_features());
  dataset.rows = dataset.samples.rows;
  output.create(dataset);
  if (options.features) {
    OutputFile file(output.path() + "/features.json");
    file.write(options.features->serialize());
    dataset.features = file.finish();
  }
  deal_to_shards(
      *source(), chunk, output.path(), dataset, options,
      [&](const std::string& path, std::int64_t rows) {
        return make_sample_shard_writer(path, rows, dataset, options);
      },
      [&] { second.add(chunk); });
  check_unchanged(first.hex() == second.hex());
  ConvertReport report = output.publish(dataset);
  report.read = stream->report();
  report.entries = dataset.samples.entries;
  report.num_features = dataset.samples.num_features;
  return report;
}

}  // namespace gradmill
