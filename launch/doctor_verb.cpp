#include <fmt/format.h>

#include "launch/doctor.h"
#include "launch/verbs.h"
#include "runtime/error.h"

namespace gradmill {

int doctor_verb(const Options& options, World& world, Log&) {
  const auto findings = examine(world);
  if (world.rank() == 0) fmt::print("{}", doctor_report(findings, options.json));
  return is_healthy(findings) ? 0 : exit_code(ErrorKind::usage);
}

}  // namespace gradmill
