// Writes the rows of one shard of a converted data set.
#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"

namespace gradmill {

template <class Chunk>
class ShardWriterOf {
 public:
  virtual ~ShardWriterOf() = default;
  /// Appends rows [first, first + count) of a chunk; ids of ratings are of the data set's kinds.
  virtual void append(const Chunk& chunk, std::int64_t first, std::int64_t count) = 0;
  /// Completes and syncs the file.
  virtual FileRecord finish() = 0;
};
using ShardWriter = ShardWriterOf<RatingChunk>;
using SampleShardWriter = ShardWriterOf<SampleChunk>;

/// `dataset` says which columns there are; the vocabularies code text ids (HDF5 only) and outlive the
/// writer. Errors: ErrorKind::cannot_write; ErrorKind::data for an id that is in no vocabulary.
std::unique_ptr<ShardWriter> make_shard_writer(const std::string& path, std::int64_t rows,
                                               const Dataset& dataset, const Vocabulary& users,
                                               const Vocabulary& items,
                                               const ConvertOptions& options);

/// Samples; `dataset` has their summary.
std::unique_ptr<SampleShardWriter> make_sample_shard_writer(const std::string& path,
                                                            std::int64_t rows,
                                                            const Dataset& dataset,
                                                            const ConvertOptions& options);

}  // namespace gradmill
