// Runs a parser that bad input may crash or hang in a process of its own; answers come through a pipe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "data/files.h"

namespace gradmill {

struct ChildLimits {
  std::int64_t memory_bytes = std::int64_t{1} << 30;  // on top of what the process maps already
  int silence_seconds = 20;                           // without a message: killed
};

/// A forked child that sends messages. What the child throws as Error arrives here as the same Error.
/// The child shares nothing after the fork, prints nothing, and leaves without running destructors
/// of the parent. Not for code that takes locks which another thread may hold now.
class ChildProcess {
 public:
  using Send = std::function<void(std::string_view message)>;
  using Body = std::function<void(const Send& send)>;

  /// `what` begins the messages: the file that is read. Errors: ErrorKind::internal if fork fails.
  ChildProcess(std::string what, const Body& body, const ChildLimits& limits = {});
  ~ChildProcess();  // kills the child if it still runs
  ChildProcess(ChildProcess&&) = delete;

  /// False when the body has returned. Errors: what the body threw; ErrorKind::data if the child
  /// crashed, hung, or exceeded its memory.
  bool next(std::string& message);

 private:
  [[noreturn]] void report_death();
  bool read(char* to, std::size_t bytes);
  std::string what_;
  ChildLimits limits_;
  Descriptor pipe_;
  int pid_ = -1;
};

}  // namespace gradmill
