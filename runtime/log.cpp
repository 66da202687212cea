#include "runtime/log.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};

std::string timestamp() {
  std::timespec now{};
  std::timespec_get(&now, TIME_UTC);
  std::tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     now.tv_nsec / 1'000'000);
}
}  // namespace

Log::~Log() {
  if (file_) std::fclose(file_);
}

void Log::open_file(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (file_) std::fclose(file_);
  file_ = std::fopen(path.c_str(), "ae");
  expect(file_ != nullptr, ErrorKind::cannot_write, "{}: cannot open the log: {}", path,
         std::strerror(errno));
}

void Log::write(LogLevel level, std::string_view text) {
  const std::lock_guard lock(mutex_);
  const auto name = kNames[static_cast<int>(level)];
  if (level == LogLevel::warning && warnings_.size() < kKeptWarnings) warnings_.emplace_back(text);
  if (file_) {
    fmt::print(file_, "{} rank {} {}: {}\n", timestamp(), rank_, name, text);
    std::fflush(file_);
  }
  if (level < terminal_level_ || (rank_ != 0 && level < LogLevel::error)) return;
  const std::string prefix = level >= LogLevel::warning ? fmt::format("{}: ", name) : std::string{};
  const std::string from = rank_ != 0 ? fmt::format("rank {}: ", rank_) : std::string{};
  // On a terminal a progress line may stand there unfinished: this line takes its place.
  const char* clear = ::isatty(STDERR_FILENO) ? "\r\x1b[K" : "";
  fmt::print(stderr, "{}{}{}{}\n", clear, from, prefix, text);
}

std::vector<std::string> Log::warnings() const {
  const std::lock_guard lock(mutex_);
  return warnings_;
}

}  // namespace gradmill
