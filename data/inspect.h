// What is in a file or folder: for people and, as JSON, for programs.
#pragma once

#include <string>

namespace gradmill {

/// Describes a converted data set, an HDF5 file, a TFRecord file or the head of a text file.
/// Reads metadata and a few records; checks no digests (validate_ratings does).
/// Errors: ErrorKind::input_missing, ErrorKind::data as the readers.
std::string inspect_data(const std::string& path, bool json);

}  // namespace gradmill
