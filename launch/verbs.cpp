#include "launch/verbs.h"

#include <array>
#include <string_view>

#include "runtime/expect.h"

namespace gradmill {
namespace {
struct Verb {
  std::string_view name;
  int (*run)(const Options&, World&, Log&);
  bool distributed;
};
constexpr std::array<Verb, 11> kVerbs{{
    {"train", train_verb, true},
    {"evaluate", evaluate_verb, false},
    {"predict", predict_verb, false},
    {"recommend", recommend_verb, false},
    {"export", export_verb, false},
    {"convert", convert_verb, false},
    {"inspect", inspect_verb, false},
    {"validate", validate_verb, false},
    {"diagnose", diagnose_verb, false},
    {"doctor", doctor_verb, true},
    {"version", version_verb, false},
}};
}  // namespace

int run_verb(const Options& options, World& world, Log& log) {
  for (const Verb& verb : kVerbs) {
    if (verb.name != options.verb) continue;
    expect(verb.distributed || world.world_size() == 1, ErrorKind::usage,
           "{} runs as one process with several threads; start it without mpirun", verb.name);
    return verb.run(options, world, log);
  }
  fail(ErrorKind::internal, fmt::format("verb {} has no function", options.verb));
}

}  // namespace gradmill
