// Starting a run from the factors of an earlier model.
#pragma once

#include <cstdint>
#include <string>

#include "data/vocabulary.h"
#include "models/mf/solver.h"

namespace gradmill {

struct WarmStart {
  std::int64_t users = 0, items = 0;  // rows taken over, all ranks
};

/// Collective. Users and items that the model at `path` knows get its factors and biases; the others
/// keep theirs. Errors: ErrorKind::checkpoint if the number of factors differs.
WarmStart warm_start(const Context& ctx, const Context& host, Communicator& comm, MfSolver& solver,
                     const Vocabulary& users, const Vocabulary& items, const std::string& path);

}  // namespace gradmill
