// One line an event, with time, level and rank. Rank 0 writes to the terminal, every rank to its file.
#pragma once

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

enum class LogLevel { debug, info, warning, error };

/// Owned by main() and lent to who logs. Thread-safe.
class Log {
 public:
  explicit Log(int rank = 0, LogLevel terminal_level = LogLevel::info)
      : rank_(rank), terminal_level_(terminal_level) {}
  ~Log();
  Log(Log&&) = delete;

  /// Also writes to this file from now on (appends). Errors: ErrorKind::cannot_write.
  void open_file(const std::string& path);
  void set_rank(int rank) { rank_ = rank; }
  void set_terminal_level(LogLevel level) { terminal_level_ = level; }

  void debug(std::string_view text) { write(LogLevel::debug, text); }
  void info(std::string_view text) { write(LogLevel::info, text); }
  void warning(std::string_view text) { write(LogLevel::warning, text); }
  void error(std::string_view text) { write(LogLevel::error, text); }
  void write(LogLevel level, std::string_view text);

  /// The warnings so far, for the end of a run; the first kKeptWarnings of them.
  static constexpr std::size_t kKeptWarnings = 100;
  std::vector<std::string> warnings() const;

 private:
  mutable std::mutex mutex_;
  int rank_;
  LogLevel terminal_level_;
  std::FILE* file_ = nullptr;
  std::vector<std::string> warnings_;
};

}  // namespace gradmill
