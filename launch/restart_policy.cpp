#include "launch/restart_policy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "runtime/exit_codes.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr double kLongestWait = 60;

/// mpirun and shells tell a signal as 128 + its number.
int signal_of(ProcessEnd end) {
  if (end.signal) return end.signal;
  return end.code > 128 && end.code < 128 + 65 ? end.code - 128 : 0;
}

}  // namespace

RestartPolicy::Decision RestartPolicy::after(ProcessEnd end, std::int64_t step,
                                             bool asked_to_stop) {
  if (end.code == 0 && !end.signal) return {false, 0, 0, "done"};
  const int signal = signal_of(end);
  const ExitCode* known = find_exit_code(end.code);
  const int code = signal  ? exit_code(ErrorKind::peer_lost)
                   : known ? end.code
                           : exit_code(ErrorKind::internal);
  std::string why = signal  ? fmt::format("a process was killed: {}", ::strsignal(signal))
                    : known ? fmt::format("exit code {}, {}", end.code, known->name)
                            : fmt::format("exit code {}", end.code);
  const Retry retry = signal ? Retry::yes : known ? known->retry : Retry::once;
  if (asked_to_stop || retry == Retry::no || retry == Retry::resume) return {false, code, 0, why};
  if (retry == Retry::once && std::exchange(once_, true))
    return {false, code, 0, why + ", for the second time"};

  const bool progress = step > step_;
  step_ = std::max(step, step_);
  if (progress) in_vain_ = 0;
  if (in_vain_ == max_restarts_)
    return {false, kCrashLoop, 0,
            fmt::format("{}; {} restarts without a new checkpoint", why, in_vain_)};
  const double wait = std::min(kLongestWait, std::ldexp(1.0, std::min(in_vain_, 6)));
  ++in_vain_;
  ++restarts_;
  return {true, code, wait, why};
}

}  // namespace gradmill
