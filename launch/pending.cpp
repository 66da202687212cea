// Until the converted data sets land: what the verbs of data/ will call.
#include "launch/verbs.h"
#include "launch/version.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
[[noreturn]] int missing() { fail(ErrorKind::internal, std::string("not built yet")); }
}  // namespace
int convert_verb(const Options&, World&, Log&) { missing(); }
int inspect_verb(const Options&, World&, Log&) { missing(); }
int validate_verb(const Options&, World&, Log&) { missing(); }
int version_verb(const Options&, World&, Log&) {
  fmt::print("{}\n", version_line());
  return 0;
}
}  // namespace gradmill
