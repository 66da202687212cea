// --data -: what comes on standard input, as a file that readers can open again and in parts.
#pragma once

#include <string>

namespace gradmill {

/// Copied into a folder of its own under $TMPDIR until the end of its input; removed by the destructor.
class StandardInput {
 public:
  /// records: it is JSON lines if it begins with '{', else CSV or TSV; without: LIBSVM text. Errors:
  /// ErrorKind::cannot_write or io.
  explicit StandardInput(bool records);
  ~StandardInput();
  StandardInput(StandardInput&&) = delete;
  const std::string& path() const { return path_; }  // ends with "/stdin.csv", .jsonl or .svm

 private:
  std::string folder_, path_;
};

}  // namespace gradmill
