#include "dist/start_deadline.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr double kNoticeSeconds = 30;

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unknown host";
}

void say(const std::string& line) {
  (void)std::fputs(line.c_str(), stderr);
  (void)std::fflush(stderr);
}

}  // namespace

StartDeadline::StartDeadline(double seconds, std::string who)
    : seconds_(seconds), who_(std::move(who)), thread_([this] { watch(); }) {}

StartDeadline::~StartDeadline() {
  {
    const std::lock_guard lock(mutex_);
    started_ = true;
  }
  change_.notify_one();
  thread_.join();
}

void StartDeadline::watch() {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  const auto started_by = [&](double seconds) {
    return change_.wait_until(lock, begin + std::chrono::duration<double>(seconds),
                              [&] { return started_; });
  };
  if (kNoticeSeconds < seconds_) {
    if (started_by(kNoticeSeconds)) return;
    say(fmt::format(
        "{} on {}, process {}: MPI has not started after {} s: not all ranks are here yet; "
        "waiting up to {} s\n",
        who_, host_name(), ::getpid(), kNoticeSeconds, seconds_));
  }
  if (started_by(seconds_)) return;
  say(
      fmt::format("error: {} on {}, process {}: MPI has not started after {} s: other ranks did "
                  "not start, or cannot be "
                  "reached. Look for their messages; on several hosts check that the program is "
                  "there and that they reach "
                  "each other. GRADMILL_START_TIMEOUT_S=SECONDS waits longer\n",
                  who_, host_name(), ::getpid(), seconds_));
  // Not exit(): the main thread is inside MPI, whose handlers would wait as well.
  ::_exit(exit_code(ErrorKind::peer_lost));
}

double start_timeout(double seconds) {
  const char* text = std::getenv("GRADMILL_START_TIMEOUT_S");
  if (!text) return seconds;
  char* end = nullptr;
  seconds = std::strtod(text, &end);
  expect(end != text && *end == '\0' && seconds >= 1 && seconds <= 1e6, ErrorKind::usage,
         "GRADMILL_START_TIMEOUT_S is \"{}\"; expected seconds from 1 to 1000000", text);
  return seconds;
}

}  // namespace gradmill
