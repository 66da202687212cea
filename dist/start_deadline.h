// A deadline for MPI's start, which waits for all ranks without end and cannot be interrupted.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace gradmill {

/// While it lives, starting must end within so many seconds; if it does not, this process says who waits
/// where and since when, and ends with the exit code of a lost peer (76), which makes a launcher end
/// the other ranks. Says once before that the start takes long. `who`: "rank 1 of 4 (Open MPI's mpirun)".
class StartDeadline {
 public:
  StartDeadline(double seconds, std::string who);
  ~StartDeadline();
  StartDeadline(StartDeadline&&) = delete;

 private:
  void watch();
  const double seconds_;
  const std::string who_;
  std::mutex mutex_;
  std::condition_variable change_;
  bool started_ = false;  // in time
  std::thread thread_;
};

/// GRADMILL_START_TIMEOUT_S, or `seconds` if it is not set. Errors: ErrorKind::usage if it is no number of
/// seconds from 1 to 10^6.
double start_timeout(double seconds);

}  // namespace gradmill
