// Counts repeated keys among more keys than fit into memory.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace gradmill {

/// Sorted runs, on disk (unnamed temporary files) once they exceed the memory, then one merge.
class DuplicateCounter {
 public:
  explicit DuplicateCounter(std::int64_t memory_bytes);
  void add(std::uint64_t key);
  /// Keys that were added before, so Σ over keys of (times - 1). Call once, at the end.
  /// Errors: ErrorKind::io if temporary files fail.
  std::int64_t count();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, CloseFile>;
  void spill();

  std::size_t capacity_;
  std::vector<std::uint64_t> keys_;
  std::vector<File> runs_;
};

}  // namespace gradmill
