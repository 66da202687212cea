// evaluate, predict, export: by the kind of the stored model.
#include "launch/model_verbs.h"

#include "launch/linear_model.h"
#include "launch/verbs.h"

namespace gradmill {
namespace {
using Work = int (*)(const Options&, World&, Log&);

int by_kind(const Options& options, World& world, Log& log, Work mf, Work linear) {
  const bool is_linear = stored_kind(options.target).starts_with("linear");
  Config config = options.config;
  config.kind = is_linear ? "linear" : "mf";
  check_keys_apply(config);
  return (is_linear ? linear : mf)(options, world, log);
}
}  // namespace

int evaluate_verb(const Options& options, World& world, Log& log) {
  return by_kind(options, world, log, evaluate_mf, evaluate_linear);
}

int predict_verb(const Options& options, World& world, Log& log) {
  return by_kind(options, world, log, predict_mf, predict_linear);
}

int export_verb(const Options& options, World& world, Log& log) {
  return by_kind(options, world, log, export_mf, export_linear);
}

}  // namespace gradmill
