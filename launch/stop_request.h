// Being asked to stop from outside: by a scheduler that needs the machine, or by Ctrl-C.
#pragma once

namespace gradmill {

/// While it lives, SIGUSR1, SIGTERM and SIGINT only leave a note, which the run finds at the end of its step.
/// A second SIGTERM or SIGINT ends the process at once. One a process.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(StopRequest&&) = delete;
};

/// The first signal that came while a StopRequest lived; 0: none.
int stop_signal();

}  // namespace gradmill
