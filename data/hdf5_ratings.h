// One HDF5 file as a stream of ratings.
#pragma once

#include <memory>

#include "data/hdf5_layout.h"
#include "data/slice_sequence.h"

namespace gradmill {

/// Ids are whole numbers (also stored as reals, as MATLAB does) or text; values and weights any
/// number; timestamps any number, rounded down. Rows in messages count from 0.
/// Errors: ErrorKind::data naming file, data set and row.
std::unique_ptr<RatingStream> read_hdf5_slice(const FileSlice& slice,
                                              const RatingReadOptions& options,
                                              const ChildLimits& limits = {});

}  // namespace gradmill
