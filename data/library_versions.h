// Versions of the libraries that data/ stands on, for reports.
#pragma once

#include <string>

namespace gradmill {

struct LibraryVersion {
  std::string loaded, built_with;
};
LibraryVersion version_of_hdf5();
LibraryVersion version_of_zlib();

}  // namespace gradmill
