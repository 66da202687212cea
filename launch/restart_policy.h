// Whether a run that has ended is started again.
#pragma once

#include <cstdint>
#include <string>

namespace gradmill {

/// How a process ended: its exit code, or the signal that killed it.
struct ProcessEnd {
  int code = 0;
  int signal = 0;
};

class RestartPolicy {
 public:
  /// max_restarts: in a row without a newer checkpoint.
  explicit RestartPolicy(int max_restarts) : max_restarts_(max_restarts) {}

  struct Decision {
    bool restart = false;
    int code = 0;             // of the supervisor, if it does not restart: docs/exit-codes.md
    double wait_seconds = 0;  // before the restart: 1, 2, 4, … 60
    std::string why;
  };
  /// step: of the newest checkpoint, -1 without one. asked_to_stop: the supervisor itself was.
  Decision after(ProcessEnd end, std::int64_t step, bool asked_to_stop);

  int restarts() const { return restarts_; }  // in all

 private:
  const int max_restarts_;
  int restarts_ = 0, in_vain_ = 0;
  bool once_ = false;  // an error that may be tried once more has been
  std::int64_t step_ = -1;
};

}  // namespace gradmill
