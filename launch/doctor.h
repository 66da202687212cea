// `gradmill doctor`: what this machine offers, what is missing, and how to mend it.
#pragma once

#include <string>
#include <vector>

#include "dist/world.h"

namespace gradmill {

enum class Health { ok, warning, broken };

struct Finding {
  std::string what;  // "huge pages"
  Health health = Health::ok;
  std::string value;  // what is there
  std::string fix;    // what to do; empty if ok
};

/// Looks at processor, memory, limits, devices and libraries of this rank's host, and tries a
/// collective among all ranks. Collective: every rank calls it; each gets its own findings.
std::vector<Finding> examine(World& world);

/// A table of them, or a JSON document (`{"healthy": …, "findings": [{"what": …}, …]}`).
std::string doctor_report(const std::vector<Finding>& findings, bool json);

/// Nothing that gradmill needs is broken (warnings do not count).
bool is_healthy(const std::vector<Finding>& findings);

}  // namespace gradmill
