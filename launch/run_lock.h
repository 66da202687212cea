// Keeps two runs out of one folder, also while ranks of a killed run are still alive.
#pragma once

#include <string>

#include "data/files.h"

namespace gradmill {

/// Every rank holds one byte of folder/run.lock; rank 0 can start only if nobody holds any. The kernel
/// lets go of a lock when its process ends, however it ends.
class RunLock {
 public:
  /// Rank 0 first; the others when it has its lock.
  /// Errors: ErrorKind::permission naming the host and process that hold the folder.
  RunLock(const std::string& folder, int rank);

 private:
  Descriptor descriptor_;
};

}  // namespace gradmill
