#include "runtime/error.h"

#include <algorithm>
#include <array>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::array<ExitCode, 16> kTable{{
    {ErrorKind::usage, 64, "usage", Retry::no},
    {ErrorKind::data, 65, "bad data", Retry::no},
    {ErrorKind::input_missing, 66, "input missing", Retry::no},
    {ErrorKind::service, 69, "service down", Retry::yes},
    {ErrorKind::internal, 70, "internal error", Retry::once},
    {ErrorKind::out_of_memory, 71, "out of memory", Retry::no},
    {ErrorKind::cannot_write, 73, "cannot write", Retry::no},
    {ErrorKind::io, 74, "I/O error", Retry::elsewhere},
    {ErrorKind::preempted, 75, "preempted", Retry::resume},
    {ErrorKind::peer_lost, 76, "peer lost", Retry::yes},
    {ErrorKind::permission, 77, "permission", Retry::no},
    {ErrorKind::checkpoint, 78, "checkpoint", Retry::no},
    {ErrorKind::not_finite, 79, "not finite", Retry::no},
    {ErrorKind::device, 80, "device fault", Retry::elsewhere},
    {ErrorKind::replicas_differ, 81, "replicas differ", Retry::elsewhere},
    {ErrorKind::crash_loop, 82, "crash loop", Retry::no},
}};

const ExitCode& row_of(ErrorKind kind) {
  const auto row = std::find_if(kTable.begin(), kTable.end(),
                                [&](const ExitCode& each) { return each.kind == kind; });
  return row == kTable.end() ? row_of(ErrorKind::internal) : *row;
}
}  // namespace

std::span<const ExitCode> exit_codes() { return kTable; }

const ExitCode* find_exit_code(int code) {
  const auto row = std::find_if(kTable.begin(), kTable.end(),
                                [&](const ExitCode& each) { return each.code == code; });
  return row == kTable.end() ? nullptr : &*row;
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
