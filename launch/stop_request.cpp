#include "launch/stop_request.h"

#include <array>
#include <atomic>
#include <csignal>

namespace gradmill {
namespace {

constexpr std::array<int, 3> kSignals{SIGUSR1, SIGTERM, SIGINT};

// A signal handler has no argument through which it could reach an object.
std::atomic<int> first_signal = 0;
std::atomic<bool> told_to_end = false;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void note(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  if (signal == SIGUSR1 || !told_to_end.exchange(true)) return;
  (void)std::signal(signal, SIG_DFL);  // the second time: as if nobody listened
  (void)std::raise(signal);
}

}  // namespace

StopRequest::StopRequest() {
  first_signal = 0;
  told_to_end = false;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) (void)::sigaction(signal, &action, nullptr);
}

StopRequest::~StopRequest() {
  for (const int signal : kSignals) (void)std::signal(signal, SIG_DFL);
}

int stop_signal() { return first_signal; }

}  // namespace gradmill
