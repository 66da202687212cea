// What this program is and was built from.
#pragma once

#include <string>

namespace gradmill {

std::string version_line();    // "gradmill 0.1.0 (cpu, native)"
std::string version_number();  // "0.1.0"

}  // namespace gradmill
