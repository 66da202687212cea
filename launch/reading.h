// From [data] of the configuration to the readers' options.
#pragma once

#include "data/rating_stream.h"
#include "data/sample_stream.h"
#include "launch/config.h"
#include "runtime/log.h"

namespace gradmill {

RatingReadOptions read_options(const Config& config, int threads, int part = 0, int parts = 1);

/// Says what was left out of a source, and the first examples.
void log_report(Log& log, const std::string& source, const ReadReport& report);

/// Names of columns are those of TFRecord and HDF5. Errors: ErrorKind::usage.
SampleReadOptions sample_read_options(const DataConfig& data, int threads, int part = 0,
                                      int parts = 1);

/// By data.format, else by what the source is; true: open_samples reads it.
bool is_samples(const Config& config, const std::string& path);

}  // namespace gradmill
