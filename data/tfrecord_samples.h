// One TFRecord file of tf.Examples as a stream of samples.
#pragma once

#include <memory>

#include "data/sample_stream.h"
#include "data/slice_sequence.h"
#include "data/tfrecord.h"

namespace gradmill {

/// Features are found by name from the first record: label (and weight) one float or int64; indices a list of
/// int64 and values one of float or int64, as long as it. Without indices, values are dense: equally many in
/// all records, zeros are left out. Without values, all are 1.
std::unique_ptr<SampleStream> read_tfrecord_samples(const FileSlice& slice,
                                                    const SampleReadOptions& options);
/// The same over records in memory.
std::unique_ptr<SampleStream> read_tfrecord_samples(TfRecordReader reader, std::int64_t count,
                                                    const SampleReadOptions& options);

/// Has the first record what samples need, and no user and item?
bool has_tfrecord_samples(const std::string& path);

}  // namespace gradmill
