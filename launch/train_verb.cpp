#include "launch/mf_training.h"
#include "launch/verbs.h"

namespace gradmill {

int train_verb(const Options& options, World& world, Log& log) {
  return train_mf(options, world, log);
}

}  // namespace gradmill
