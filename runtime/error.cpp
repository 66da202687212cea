#include "runtime/error.h"

#include <array>

#include "runtime/expect.h"

namespace gradmill {
namespace {
struct Row {
  ErrorKind kind;
  int code;
  std::string_view name;
};
constexpr std::array<Row, 15> kTable{{
    {ErrorKind::usage, 64, "usage"},
    {ErrorKind::data, 65, "bad data"},
    {ErrorKind::input_missing, 66, "input missing"},
    {ErrorKind::service, 69, "service down"},
    {ErrorKind::internal, 70, "internal error"},
    {ErrorKind::out_of_memory, 71, "out of memory"},
    {ErrorKind::cannot_write, 73, "cannot write"},
    {ErrorKind::io, 74, "I/O error"},
    {ErrorKind::preempted, 75, "preempted"},
    {ErrorKind::peer_lost, 76, "peer lost"},
    {ErrorKind::permission, 77, "permission"},
    {ErrorKind::checkpoint, 78, "checkpoint"},
    {ErrorKind::not_finite, 79, "not finite"},
    {ErrorKind::device, 80, "device fault"},
    {ErrorKind::replicas_differ, 81, "replicas differ"},
}};
const Row& row_of(ErrorKind kind) {
  for (const Row& row : kTable)
    if (row.kind == kind) return row;
  return kTable[4];
}
}  // namespace

int exit_code(ErrorKind kind) { return row_of(kind).code; }
std::string_view kind_name(ErrorKind kind) { return row_of(kind).name; }

void fail(ErrorKind kind, const std::string& what) { throw Error(kind, what); }

void fail_contract(const std::string& what, const std::source_location& at) {
  std::string_view file = at.file_name();
  if (auto slash = file.rfind('/'); slash != file.npos) file.remove_prefix(slash + 1);
  throw Error(ErrorKind::internal, fmt::format("{}:{}: {}", file, at.line(), what));
}

}  // namespace gradmill
