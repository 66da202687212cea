// Errors carry who can mend them: the kind decides the process's exit code (docs/exit-codes.md).
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gradmill {

enum class ErrorKind {
  usage,           // 64: command line or configuration
  data,            // 65: malformed or impossible input data
  input_missing,   // 66: a named file or data set is not there
  service,         // 69: a service that we need is down
  internal,        // 70: a broken contract between our own parts
  out_of_memory,   // 71: host or device memory
  cannot_write,    // 73: output cannot be created, disk full
  io,              // 74: a read or write failed
  preempted,       // 75: stopped by request, checkpoint saved: run again
  peer_lost,       // 76: a rank died, or a collective timed out
  permission,      // 77: permission, or a directory in use by another run
  checkpoint,      // 78: no usable checkpoint, or one that does not fit
  not_finite,      // 79: the loss or a parameter is not finite
  device,          // 80: the accelerator failed
  replicas_differ  // 81: ranks disagree on values that must be equal
};

int exit_code(ErrorKind kind);
std::string_view kind_name(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

[[noreturn]] void fail(ErrorKind kind, const std::string& what);

/// For contracts between our own parts: a violation is a bug of gradmill, so it names the place.
[[noreturn]] void fail_contract(const std::string& what, const std::source_location& at);

}  // namespace gradmill
