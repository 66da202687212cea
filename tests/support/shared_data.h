// Real data sets that the project may not contain; tests that use one skip without it.
#pragma once

#include <optional>
#include <string>

namespace gradmill::testing {

/// Path of a file in the folder that the environment variable GRADMILL_SHARED_DATA names, if both
/// are there.
std::optional<std::string> shared_data(const std::string& name);

}  // namespace gradmill::testing
