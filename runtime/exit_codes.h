// The table of exit codes: what the command, its supervisor, --help and docs/exit-codes.md agree on.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/error.h"

namespace gradmill {

/// Whether running the same command again can help.
enum class Retry : std::uint8_t {
  no,
  once,
  yes,        // a few times without progress
  elsewhere,  // yes, but not on the host that failed
  resume      // yes, as often as it happens: nothing failed
};

struct ExitCode {
  int code;  // never 1, 2, 99, 100 or above 123: shells and schedulers use these
  std::string_view name;
  Retry retry;
};

/// A supervisor gave up: restarts without progress. No error of the command itself.
inline constexpr int kCrashLoop = 82;

/// Every code but 0, ascending.
std::span<const ExitCode> exit_codes();
const ExitCode* find_exit_code(int code);  // nullptr: not one of ours
/// The kind that has this code; internal if none has.
ErrorKind error_kind(int code);

}  // namespace gradmill
