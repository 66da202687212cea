// From [data] of the configuration to the readers' options.
#pragma once

#include "data/rating_stream.h"
#include "launch/config.h"
#include "runtime/log.h"

namespace gradmill {

RatingReadOptions read_options(const Config& config, int threads, int part = 0, int parts = 1);

/// Says what was left out of a source, and the first examples.
void log_report(Log& log, const std::string& source, const ReadReport& report);

}  // namespace gradmill
