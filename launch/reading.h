// From [data] of the configuration to the readers' options.
#pragma once

#include "data/rating_stream.h"
#include "launch/config.h"

namespace gradmill {

RatingReadOptions read_options(const Config& config, int threads, int part = 0, int parts = 1);

}  // namespace gradmill
