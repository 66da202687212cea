// One program and everything that it starts, so that none of it outlives the caller.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "launch/restart_policy.h"

namespace gradmill {

/// Signals to this process are taken one by one with wait() instead of ending it. One a process.
class SignalQueue {
 public:
  SignalQueue();
  ~SignalQueue();
  SignalQueue(SignalQueue&&) = delete;
  /// SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGCHLD; 0 after so many seconds without one.
  int wait(double seconds) const;
};

/// In a process group of its own, so that a terminal's Ctrl-C does not reach it; ended by the kernel (SIGTERM)
/// if this process ends. A SignalQueue must exist.
class ProcessTree {
 public:
  /// Errors: ErrorKind::usage if the program cannot be started.
  explicit ProcessTree(const std::vector<std::string>& command);
  ~ProcessTree();  // kill_all()
  ProcessTree(ProcessTree&&) = delete;

  void signal(int number) const;
  /// How it ended, if it has.
  std::optional<ProcessEnd> ended();
  /// Kills it and all that it started on this host, and waits until none is left; gives how many were.
  int kill_all();

 private:
  pid_t process_ = -1;
  std::optional<ProcessEnd> end_;
};

}  // namespace gradmill
