#include "tests/support/shared_data.h"

#include <cstdlib>
#include <filesystem>

namespace gradmill::testing {

std::optional<std::string> shared_data(const std::string& name) {
  const char* folder = std::getenv("GRADMILL_SHARED_DATA");
  const std::filesystem::path path =
      (folder ? std::filesystem::path(folder)
              : std::filesystem::path(GRADMILL_SOURCE_DIR) / "../shared/data") /
      name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path.string();
}

}  // namespace gradmill::testing
