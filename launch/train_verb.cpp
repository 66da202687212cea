#include "launch/mf_training.h"
#include "launch/training_run.h"
#include "launch/verbs.h"

namespace gradmill {

int train_verb(const Options& options, World& world, Log& log) {
  return run_training(options, world, log, "mf", make_mf_trainee);
}

}  // namespace gradmill
