// Keeps two runs out of one folder, also while ranks of a killed run are still alive.
#pragma once

#include <cstdint>
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

  /// How often the folder was taken by a rank 0: tells one start of a run from another.
  std::int64_t generation() const { return generation_; }
  /// Errors: ErrorKind::permission if a later start has taken the folder over, which a file system
  /// without locks allows: who is fenced off must not write.
  void check_current() const;

  /// Whether somebody holds the folder.
  static bool is_held(const std::string& folder);

 private:
  std::string path_;
  std::int64_t generation_ = 0;
  Descriptor descriptor_;
};

}  // namespace gradmill
