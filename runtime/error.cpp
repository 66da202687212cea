#include "runtime/error.h"

#include <algorithm>
#include <array>

#include "runtime/exit_codes.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
// In the order of ErrorKind; after them what no error has.
constexpr std::array<ExitCode, 16> kTable{{
    {64, "usage", Retry::no},
    {65, "bad data", Retry::no},
    {66, "input missing", Retry::no},
    {69, "service down", Retry::yes},
    {70, "internal error", Retry::once},
    {71, "out of memory", Retry::no},
    {73, "cannot write", Retry::no},
    {74, "I/O error", Retry::elsewhere},
    {75, "preempted", Retry::resume},
    {76, "peer lost", Retry::yes},
    {77, "permission", Retry::no},
    {78, "checkpoint", Retry::no},
    {79, "not finite", Retry::no},
    {80, "device fault", Retry::elsewhere},
    {81, "replicas differ", Retry::elsewhere},
    {kCrashLoop, "crash loop", Retry::no},
}};
constexpr std::size_t kKinds = kTable.size() - 1;
static_assert(kKinds == static_cast<std::size_t>(ErrorKind::replicas_differ) + 1);

const ExitCode& row_of(ErrorKind kind) { return kTable[static_cast<std::size_t>(kind)]; }
}  // namespace

std::span<const ExitCode> exit_codes() { return kTable; }

const ExitCode* find_exit_code(int code) {
  const auto row = std::find_if(kTable.begin(), kTable.end(),
                                [&](const ExitCode& each) { return each.code == code; });
  return row == kTable.end() ? nullptr : &*row;
}

ErrorKind error_kind(int code) {
  const ExitCode* row = find_exit_code(code);
  const auto index = row ? static_cast<std::size_t>(row - kTable.data()) : kKinds;
  return index < kKinds ? static_cast<ErrorKind>(index) : ErrorKind::internal;
}

int exit_code(ErrorKind kind) { return row_of(kind).code; }
std::string_view kind_name(ErrorKind kind) { return row_of(kind).name; }

void fail(ErrorKind kind, const std::string& what) { throw Error(kind, what); }

void fail_contract(const std::string& what, const std::source_location& at) {
  std::string_view file = at.file_name();
  if (auto slash = file.rfind('/'); slash != file.npos) file.remove_prefix(slash + 1);
  throw Error(ErrorKind::internal, fmt::format("{}:{}: {}", file, at.line(), what));
}

}  // namespace gradmill
