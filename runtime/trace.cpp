#include "runtime/trace.h"

#include <unistd.h>

#include <fstream>

#include "runtime/expect.h"
#if GRADMILL_HAS_CUDA
#include <nvtx3/nvToolsExt.h>
#endif

namespace gradmill {

std::int64_t monotonic_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

TraceSpan::TraceSpan(Tracer& tracer, std::string_view name) : tracer_(tracer) {
#if GRADMILL_HAS_CUDA
  nvtxRangePushA(std::string(name).c_str());
#endif
  if (!tracer_.recording_) return;
  name_ = name;
  start_ns_ = monotonic_ns();
}

TraceSpan::~TraceSpan() {
#if GRADMILL_HAS_CUDA
  nvtxRangePop();
#endif
  if (start_ns_)
    tracer_.events_.push_back({std::move(name_), start_ns_, monotonic_ns() - start_ns_});
}

void Tracer::write(const std::string& path) const {
  std::ofstream file(path);
  file << "{\"traceEvents\":[\n";
  const char* separator = "";
  for (const Event& e : events_) {
    file << separator
         << fmt::format(R"({{"name":"{}","ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f}}})",
                        e.name, rank_, getpid(), static_cast<double>(e.start_ns) / 1e3,
                        static_cast<double>(e.duration_ns) / 1e3);
    separator = ",\n";
  }
  file << "\n]}\n";
  file.close();
  expect(file.good(), ErrorKind::cannot_write, "{}: cannot write the trace", path);
}

}  // namespace gradmill
