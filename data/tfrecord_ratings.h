// One TFRecord file of tf.Examples as a stream of ratings.
#pragma once

#include <memory>

#include "data/rating_columns.h"
#include "data/slice_sequence.h"
#include "data/tfrecord.h"

namespace gradmill {

/// Features are found by name from the first record; ids are int64 or bytes, values float or int64.
std::unique_ptr<RatingStream> read_tfrecord_slice(const FileSlice& slice,
                                                  const RatingReadOptions& options);
/// The same over records in memory.
std::unique_ptr<RatingStream> read_tfrecord_ratings(TfRecordReader reader, std::int64_t count,
                                                    const RatingReadOptions& options);

/// A reader of the records behind the first `first`. Errors: ErrorKind::data if there are fewer.
TfRecordReader tfrecords_from(const std::string& path, std::int64_t first);

/// Records of a file; reads their frames only.
std::int64_t count_tfrecords(const std::string& path);

}  // namespace gradmill
