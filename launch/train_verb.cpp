#include "launch/linear_training.h"
#include "launch/mf_training.h"
#include "launch/training_run.h"
#include "launch/verbs.h"

namespace gradmill {

int train_verb(const Options& options, World& world, Log& log) {
  const bool linear = options.config.kind == "linear";
  return run_training(options, world, log, options.config.kind,
                      linear ? make_linear_trainee : make_mf_trainee);
}

}  // namespace gradmill
