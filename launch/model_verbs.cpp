// evaluate, predict, export: by the kind of the stored model.
#include "launch/model_verbs.h"

#include "launch/model_state.h"
#include "launch/verbs.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
using Work = int (*)(const Options&, World&, Log&);

/// The verbs of one kind of models: "linear" of the stored "linear-lbfgs".
struct KindVerbs {
  const char* kind;
  Work evaluate, predict, write;
};
constexpr KindVerbs kKinds[] = {
    {"mf", evaluate_mf, predict_mf, export_mf},
    {"linear", evaluate_linear, predict_linear, export_linear},
    {"mlp", evaluate_mlp, predict_mlp, export_mlp},
};

int by_kind(const Options& options, World& world, Log& log, Work KindVerbs::*verb) {
  const std::string stored = stored_kind(options.target);
  for (const KindVerbs& verbs : kKinds) {
    if (stored.substr(0, stored.find('-')) != verbs.kind) continue;
    Config config = options.config;
    config.kind = verbs.kind;
    check_keys_apply(config);
    return (verbs.*verb)(options, world, log);
  }
  fail(ErrorKind::checkpoint, "{}: a model of kind \"{}\", which this gradmill does not know",
       options.target, stored);
}
}  // namespace

int evaluate_verb(const Options& options, World& world, Log& log) {
  return by_kind(options, world, log, &KindVerbs::evaluate);
}

int predict_verb(const Options& options, World& world, Log& log) {
  return by_kind(options, world, log, &KindVerbs::predict);
}

int export_verb(const Options& options, World& world, Log& log) {
  return by_kind(options, world, log, &KindVerbs::write);
}

}  // namespace gradmill
