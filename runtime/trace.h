// Named spans of a run: NVTX ranges for Nsight (CUDA builds) and Chrome-trace events (`--trace FILE`,
// opens in Perfetto or chrome://tracing).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

class Tracer {
 public:
  /// Starts to keep events; without this call spans cost a clock read at most.
  void record(int rank) {
    rank_ = rank;
    recording_ = true;
  }
  bool recording() const { return recording_; }
  /// Writes what was kept as Chrome-trace JSON. Errors: ErrorKind::cannot_write.
  void write(const std::string& path) const;

 private:
  friend class TraceSpan;
  struct Event {
    std::string name;
    std::int64_t start_ns, duration_ns;
  };
  bool recording_ = false;
  int rank_ = 0;
  std::vector<Event> events_;
};

/// From construction to destruction, on the thread that owns the context.
class TraceSpan {
 public:
  TraceSpan(Tracer& tracer, std::string_view name);
  ~TraceSpan();
  TraceSpan(TraceSpan&&) = delete;

 private:
  Tracer& tracer_;
  std::string name_;
  std::int64_t start_ns_ = 0;
};

std::int64_t monotonic_ns();

}  // namespace gradmill
