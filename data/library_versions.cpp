#include "data/library_versions.h"

#include <hdf5.h>
#include <zlib.h>

#include "runtime/expect.h"

namespace gradmill {

LibraryVersion version_of_hdf5() {
  unsigned major = 0, minor = 0, release = 0;
  const bool known = H5get_libversion(&major, &minor, &release) >= 0;
  return {known ? fmt::format("{}.{}.{}", major, minor, release) : "unknown",
          fmt::format("{}.{}.{}", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE)};
}

LibraryVersion version_of_zlib() { return {zlibVersion(), ZLIB_VERSION}; }

}  // namespace gradmill
