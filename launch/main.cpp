// The gradmill command: parses, starts the world, runs a verb, turns errors into exit codes.
#include <unistd.h>

#include <new>
#include <optional>

#include "launch/stop_request.h"
#include "launch/verbs.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
/// Errors that every rank meets alike are told once.
bool met_by_all(ErrorKind kind) {
  return kind == ErrorKind::usage || kind == ErrorKind::input_missing ||
         kind == ErrorKind::permission;
}

int report(const Error& error, World* world, Log& log) {
  const bool silent = world && world->rank() > 0 && met_by_all(error.kind());
  if (!silent) log.error(error.what());
  const int code = exit_code(error.kind());
  if (!world || world->world_size() == 1) return code;
  if (silent) sleep(2);  // rank 0 tells it and ends everybody
  world->abort(code);
  return code;  // not reached: abort does not return
}

int main_with(int argc, const char* const* argv) {
  Log log;
  std::unique_ptr<World> world;
  try {
    const auto [options, exit] = parse_command_line(argc, argv);
    if (exit) return *exit;
    log.set_terminal_level(options.quiet     ? LogLevel::warning
                           : options.verbose ? LogLevel::debug
                                             : LogLevel::info);
    if (options.verb == "launch") return supervise(options.launch, log);  // without MPI
    std::optional<StopRequest> stop;
    if (options.verb == "train") stop.emplace();
    world = World::start(options.config.train.timeout_s);
    log.set_rank(world->rank());
    return run_verb(options, *world, log);
  } catch (const Error& error) {
    return report(error, world.get(), log);
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorKind::out_of_memory, "out of memory"), world.get(), log);
  } catch (const std::exception& error) {
    return report(Error(ErrorKind::internal, error.what()), world.get(), log);
  }
}
}  // namespace
}  // namespace gradmill

int main(int argc, char** argv) { return gradmill::main_with(argc, argv); }
