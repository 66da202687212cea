#include <fmt/format.h>

#include "launch/diagnose.h"
#include "launch/verbs.h"

namespace gradmill {

int diagnose_verb(const Options& options, World&, Log&) {
  const Diagnosis diagnosis = diagnose(options.target);
  fmt::print("{}", options.json ? diagnosis_json(diagnosis) : diagnosis_text(diagnosis));
  return 0;
}

}  // namespace gradmill
