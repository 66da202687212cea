#include "launch/process_tree.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <ctime>
#include <fstream>
#include <system_error>

#include "runtime/expect.h"

namespace gradmill {
namespace {

sigset_t queued_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD}) ::sigaddset(&set, signal);
  return set;
}

/// Children of this process, orphans that it was given included.
std::vector<pid_t> children() {
  std::vector<pid_t> found;
  const std::string self = std::to_string(::getpid());
  std::ifstream file("/proc/" + self + "/task/" + self + "/children");
  for (pid_t child = 0; file >> child;) found.push_back(child);
  return found;
}

ProcessEnd end_of(int status) {
  return WIFSIGNALED(status) ? ProcessEnd{0, WTERMSIG(status)} : ProcessEnd{WEXITSTATUS(status), 0};
}

/// In the child: becomes the program, or tells errno through the pipe.
[[noreturn]] void become(const std::vector<std::string>& command, pid_t parent, int told) {
  const sigset_t set = queued_signals();
  (void)::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  (void)::setpgid(0, 0);
  // A background process that reads a terminal is stopped.
  if (const int nothing = ::open("/dev/null", O_RDONLY); nothing >= 0) (void)::dup2(nothing, 0);
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  if (::getppid() == parent) ::execvp(arguments[0], arguments.data());
  const int error = errno;
  (void)!::write(told, &error, sizeof error);
  ::_exit(exit_code(ErrorKind::usage));
}

}  // namespace

SignalQueue::SignalQueue() {
  const sigset_t set = queued_signals();
  (void)::sigprocmask(SIG_BLOCK, &set, nullptr);
  // Ranks whose mpirun was killed become children of this process, which can then end them.
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

SignalQueue::~SignalQueue() {
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 0);
  const sigset_t set = queued_signals();
  (void)::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

int SignalQueue::wait(double seconds) const {
  const sigset_t set = queued_signals();
  std::timespec time{};
  time.tv_sec = static_cast<std::time_t>(seconds);
  time.tv_nsec = static_cast<long>((seconds - std::floor(seconds)) * 1e9);
  const int signal = ::sigtimedwait(&set, nullptr, &time);
  return signal > 0 ? signal : 0;
}

ProcessTree::ProcessTree(const std::vector<std::string>& command) {
  int told[2];
  expect(::pipe2(told, O_CLOEXEC) == 0, ErrorKind::usage, "cannot make a pipe: {}",
         std::generic_category().message(errno));
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) become(command, parent, told[1]);
  const int error = process_ < 0 ? errno : 0;
  ::close(told[1]);
  int problem = error;
  if (process_ > 0 && ::read(told[0], &problem, sizeof problem) != sizeof problem) problem = 0;
  ::close(told[0]);
  if (!problem) return;
  if (process_ > 0) (void)::waitpid(process_, nullptr, 0);
  process_ = -1;
  fail(ErrorKind::usage, "cannot start {}: {}", command.front(),
       std::generic_category().message(problem));
}

ProcessTree::~ProcessTree() { kill_all(); }

void ProcessTree::signal(int number) const {
  if (process_ > 0 && !end_) (void)::kill(process_, number);
}

std::optional<ProcessEnd> ProcessTree::ended() {
  int status = 0;
  while (!end_) {
    const pid_t which = ::waitpid(-1, &status, WNOHANG);
    if (which <= 0) break;
    if (which == process_) end_ = end_of(status);
  }
  return end_;
}

int ProcessTree::kill_all() {
  if (process_ < 0) return 0;
  int killed = 0;
  // What a killed process has started becomes a child of this one: again until there is none.
  for (std::vector<pid_t> left = children(); !left.empty(); left = children()) {
    for (const pid_t child : left) killed += ::kill(child, SIGKILL) == 0;
    for (const pid_t child : left) {
      int status = 0;
      if (::waitpid(child, &status, 0) == child && child == process_ && !end_)
        end_ = end_of(status);
    }
  }
  return killed;
}

}  // namespace gradmill
