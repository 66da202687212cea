// Ratings from files to the rows that the solvers work on, over all ranks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/vocabulary.h"
#include "launch/config.h"
#include "models/mf/ratings.h"
#include "runtime/log.h"

namespace gradmill {

struct MfData {
  Vocabulary users, items;  // the same on every rank
  Ratings train,
      valid;  // this rank's; rows of the vocabularies, -1 in valid: not in the training data
  std::int64_t train_rows = 0, valid_rows = 0, skipped = 0;  // of all ranks
  float low = 0, high = 0;                                   // range of the training values
  std::string digest;  // of ids, values and split: tells one data set from another
};

/// Collective: every rank reads its part of the sources; ids become rows that do not depend on the
/// number of ranks. Errors: as the readers; ErrorKind::data if there is no rating to train on.
MfData load_mf_data(const Context& host, Communicator& comm, const Config& config, Log& log);

}  // namespace gradmill
