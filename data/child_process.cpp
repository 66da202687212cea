#include "data/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>

#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::uint64_t kMaxMessageBytes = std::uint64_t{1} << 28;
constexpr rlim_t kCpuSeconds = 3600;  // for a child whose parent was killed while it hangs

enum Tag : char { kMessage = 'm', kError = 'e', kDone = 'd' };

struct Header {
  std::uint64_t bytes;
  char tag;
  std::uint8_t kind;
};

bool write_all(int pipe, const void* from, std::size_t bytes) {
  const auto* p = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t n = ::write(pipe, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

void send_frame(int pipe, Tag tag, ErrorKind kind, std::string_view bytes) {
  Header header{};
  header.bytes = bytes.size();
  header.tag = tag;
  header.kind = static_cast<std::uint8_t>(kind);
  if (!write_all(pipe, &header, sizeof header) || !write_all(pipe, bytes.data(), bytes.size()))
    ::_exit(1);  // nobody listens any more
}

std::int64_t mapped_bytes() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

void limit(decltype(RLIMIT_AS) what, rlim_t value) {
  rlimit now{};
  if (::getrlimit(what, &now) == 0 && now.rlim_max != RLIM_INFINITY && value > now.rlim_max)
    value = now.rlim_max;
  const rlimit wanted{value, value};
  (void)::setrlimit(what, &wanted);
}

[[noreturn]] void run_child(int pipe, const ChildProcess::Body& body, const ChildLimits& limits) {
  // Handlers of the parent (MPI, sanitizers) would print a backtrace of a crash that is expected.
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGINT, SIGTERM})
    (void)::signal(signal, SIG_DFL);
  (void)::signal(SIGPIPE, SIG_IGN);
  if (const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0)
    for (const int standard : {0, 1, 2}) (void)::dup2(null, standard);
  // Sockets and files of the parent must not stay open in a child that hangs.
  if (pipe > 3) (void)::close_range(3, static_cast<unsigned>(pipe) - 1, 0);
  (void)::close_range(static_cast<unsigned>(pipe) + 1, ~0u, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, kCpuSeconds);
  limit(RLIMIT_AS, static_cast<rlim_t>(mapped_bytes() + limits.memory_bytes));
  try {
    body([pipe](std::string_view message) {
      send_frame(pipe, kMessage, ErrorKind::internal, message);
    });
    send_frame(pipe, kDone, ErrorKind::internal, {});
  } catch (const Error& error) {
    send_frame(pipe, kError, error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    send_frame(pipe, kError, ErrorKind::data, "needs memory out of proportion to its size");
  } catch (const std::exception& error) {
    send_frame(pipe, kError, ErrorKind::internal, error.what());
  }
  ::_exit(0);
}

}  // namespace

ChildProcess::ChildProcess(std::string what, const Body& body, const ChildLimits& limits)
    : what_(std::move(what)), limits_(limits) {
  std::array<int, 2> ends{};
  expect(::pipe2(ends.data(), O_CLOEXEC) == 0, ErrorKind::internal, "{}: no pipe: {}", what_,
         std::strerror(errno));
  pipe_ = Descriptor(ends[0]);
  Descriptor writer(ends[1]);
  pid_ = ::fork();
  expect(pid_ >= 0, ErrorKind::internal, "{}: no process: {}", what_, std::strerror(errno));
  if (pid_ == 0) run_child(writer.get(), body, limits);
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool ChildProcess::read(char* to, std::size_t bytes) {
  while (bytes > 0) {
    pollfd wait{pipe_.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, limits_.silence_seconds * 1000);
    if (ready < 0 && errno == EINTR) continue;
    expect(ready > 0, ErrorKind::data, "{}: gave no answer for {} s; the file is damaged", what_,
           limits_.silence_seconds);
    const ssize_t n = ::read(pipe_.get(), to, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

void ChildProcess::report_death() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  fail(ErrorKind::data, "{}: {} {} while reading it; the file is damaged", what_, "the library",
       WIFSIGNALED(status) ? fmt::format("crashed (signal {})", WTERMSIG(status))
                           : std::string("gave up"));
}

bool ChildProcess::next(std::string& message) {
  Header header{};
  if (!read(reinterpret_cast<char*>(&header), sizeof header)) report_death();
  expect(header.bytes <= kMaxMessageBytes, ErrorKind::data, "{}: the file is damaged", what_);
  message.resize(static_cast<std::size_t>(header.bytes));
  if (!read(message.data(), message.size())) report_death();
  if (header.tag == kError) {
    const auto kind = static_cast<ErrorKind>(header.kind);
    if (message.starts_with(what_)) fail(kind, message);
    fail(kind, "{}: {}", what_, message);
  }
  expect(header.tag == kMessage || header.tag == kDone, ErrorKind::data, "{}: the file is damaged",
         what_);
  return header.tag == kMessage;
}

}  // namespace gradmill
