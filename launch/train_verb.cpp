#include "launch/linear_training.h"
#include "launch/mf_training.h"
#include "launch/mlp_training.h"
#include "launch/training_run.h"
#include "launch/verbs.h"

namespace gradmill {

int train_verb(const Options& options, World& world, Log& log) {
  const std::string& kind = options.config.kind;
  return run_training(options, world, log, kind,
                      kind == "mlp"      ? make_mlp_trainee
                      : kind == "linear" ? make_linear_trainee
                                         : make_mf_trainee);
}

}  // namespace gradmill
