// What a checkpoint or model folder holds.
#pragma once

#include <string>

namespace gradmill {

/// A run's folder, a model or a checkpoint: described here; anything else by inspect_data.
std::string inspect_path(const std::string& path, bool json);

}  // namespace gradmill
