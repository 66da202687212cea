// Turns any source of ratings into a converted data set: a folder of shards and dataset.json.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "data/rating_stream.h"
#include "data/sample_stream.h"

namespace gradmill {

class FeaturePipeline;

enum class ShardFormat : std::uint8_t { hdf5, tfrecord };

struct ConvertOptions {
  ShardFormat to = ShardFormat::hdf5;
  int shards = 1;      // rows are dealt in contiguous, nearly equal runs
  bool force = false;  // replace a data set that is already there
  int deflate = 0;     // 0: none, 1..9: zlib level (hdf5: with shuffle; tfrecord: gzip)
  std::int64_t chunk_rows = 1 << 15;          // rows of an HDF5 chunk
  RatingReadOptions read;                     // how to read ratings
  const FeaturePipeline* features = nullptr;  // that makes the samples; kept in the data set
};

struct ConvertReport {
  ReadReport read;                             // what the source gave and what was skipped
  std::int64_t users = 0, items = 0;           // distinct ids; of ratings
  std::int64_t entries = 0, num_features = 0;  // of samples
  std::int64_t bytes = 0;                      // of all shards
  int shards = 0;
  double seconds = 0;
  std::string folder;
};

/// Gives a fresh stream over the same rows at each call; a conversion reads them twice.
using RatingOpener = std::function<std::unique_ptr<RatingStream>()>;

/// Streams the source twice (first ids, counts and statistics, then the shards); memory is the two
/// vocabularies and some chunks, whatever the number of rows. The folder appears under its name
/// only when complete and synced; a failure leaves nothing there. Errors: ErrorKind::cannot_write
/// if the folder exists (without force) or cannot be made; ErrorKind::data for bad rows, no rows,
/// or a source that changed between the two readings.
ConvertReport convert_ratings(const RatingOpener& source, const std::string& folder,
                              const ConvertOptions& options);
ConvertReport convert_ratings(const std::string& source, const std::string& folder,
                              const ConvertOptions& options);

/// The same for samples, whose statistics need no memory that grows with the rows.
using SampleOpener = std::function<std::unique_ptr<SampleStream>()>;
ConvertReport convert_samples(const SampleOpener& source, const std::string& folder,
                              const ConvertOptions& options);

}  // namespace gradmill
