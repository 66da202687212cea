#include "tests/support/shared_data.h"

#include <cstdlib>
#include <filesystem>

namespace gradmill::testing {

std::optional<std::string> shared_data(const std::string& name) {
  const char* folder = std::getenv("GRADMILL_SHARED_DATA");
  if (!folder) return std::nullopt;
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  return std::filesystem::exists(path) ? std::optional(path.string()) : std::nullopt;
}

}  // namespace gradmill::testing
