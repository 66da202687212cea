// One HDF5 file as a stream of samples.
#pragma once

#include <memory>

#include "data/hdf5_layout.h"
#include "data/sample_stream.h"
#include "data/slice_sequence.h"

namespace gradmill {

/// Numbers of any type; rows in messages count from 0. Errors: ErrorKind::data naming file, data set
/// and row.
std::unique_ptr<SampleStream> read_hdf5_samples(const FileSlice& slice,
                                                const SampleReadOptions& options,
                                                const ChildLimits& limits = {});

}  // namespace gradmill
