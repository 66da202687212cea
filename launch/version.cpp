#include "launch/version.h"

#include "runtime/context.h"

namespace gradmill {

std::string version_number() { return GRADMILL_VERSION; }

std::string version_line() {
  return "gradmill " GRADMILL_VERSION " (" + std::string(kHasCuda ? "cpu and cuda" : "cpu") +
         ", built for " GRADMILL_ARCH ")";
}

}  // namespace gradmill
