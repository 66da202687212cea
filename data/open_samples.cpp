#include "data/dataset.h"
#include "data/hdf5_layout.h"
#include "data/rating_source.h"
#include "data/sample_stream.h"
#include "data/tfrecord_samples.h"

namespace gradmill {

DataKind find_data_kind(const std::string& path) {
  const RatingSource source = find_rating_files(path);
  const std::string& first = source.files[0];
  const auto kind = [](bool samples) { return samples ? DataKind::samples : DataKind::ratings; };
  switch (source.format) {
    case RatingFormat::dataset:
      return read_dataset(first).kind;
    case RatingFormat::hdf5:
      return kind(has_hdf5_samples(first));
    case RatingFormat::tfrecord:
      return kind(has_tfrecord_samples(first));
    case RatingFormat::text:
      break;
  }
  return kind(is_libsvm(first));
}

std::unique_ptr<SampleStream> open_samples(const std::string& path,
                                           const SampleReadOptions& options) {
  const RatingSource source = find_rating_files(path);
  switch (source.format) {
    case RatingFormat::dataset:
      return open_dataset_samples(source.files[0], options);
    case RatingFormat::hdf5:
      return open_hdf5_samples(source.files, options);
    case RatingFormat::tfrecord:
      return open_tfrecord_samples(source.files, options);
    case RatingFormat::text:
      break;
  }
  return open_libsvm_samples(source.files, options);
}

}  // namespace gradmill
