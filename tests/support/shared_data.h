// Real data sets that the project may not contain; tests that use one skip without it.
#pragma once

#include <optional>
#include <string>

namespace gradmill::testing {

/// Path of a file of the shared data (folder GRADMILL_SHARED_DATA, else ../shared/data beside the
/// repository), if present.
std::optional<std::string> shared_data(const std::string& name);

}  // namespace gradmill::testing
