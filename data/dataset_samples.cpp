#include "data/dataset.h"
#include "data/hdf5_samples.h"
#include "data/tfrecord_samples.h"
#include "runtime/expect.h"

namespace gradmill {

std::unique_ptr<SampleStream> open_dataset_samples(const std::string& folder,
                                                   const SampleReadOptions& options) {
  const auto dataset = std::make_shared<const Dataset>(read_dataset(folder));
  expect(dataset->kind == DataKind::samples, ErrorKind::data,
         "{}: a data set of ratings, not of samples", folder);
  const SampleSummary& samples = dataset->samples;
  const auto opened = std::make_shared<const Folder>(Folder::open(folder));
  PartOfFiles part = shards_of_part(*opened, *dataset, options.part, options.parts);

  SampleReadOptions shard_options = options;
  if (options.num_features == 0) shard_options.num_features = samples.num_features;
  shard_options.columns =
      dataset->format == ShardFormat::hdf5
          ? SampleColumns{"/samples/labels", "/samples/weights", "/samples/indices",
                          "/samples/data", "/samples/indptr"}
          : SampleColumns{"label", "weight", "indices", "values", ""};
  if (!samples.has_weights) shard_options.columns.weight = "-";
  const auto open = [=](const FileSlice& slice) -> std::unique_ptr<SampleStream> {
    const InputFile file = open_shard(*opened, *dataset, slice.path, options.verify);
    const FileSlice here{file.path(), slice.first, slice.count};
    return dataset->format == ShardFormat::tfrecord ? read_tfrecord_samples(here, shard_options)
                                                    : read_hdf5_samples(here, shard_options);
  };
  return std::make_unique<SampleSlices>(std::move(part.slices), part.first_row, open,
                                        shard_options.num_features, samples.row_entries.mean);
}

}  // namespace gradmill
