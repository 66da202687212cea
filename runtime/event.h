// A mark on a context's streams: what one of them holds now, for the other or the host to wait for.
#pragma once

#include "runtime/context.h"
#include "runtime/handle.h"

struct CUevent_st;

namespace gradmill {

/// CUDA's part of Event; absent from a CPU build.
struct CudaEvent {
  static CUevent_st* make(const CudaDevice& device);
  static void destroy(CUevent_st* event);
  static void record(const CudaDevice& device, CUevent_st* event, CUstream_st* stream);
  static void wait(const CudaDevice& device, CUevent_st* event, CUstream_st* stream);
  static bool is_done(const CudaDevice& device, CUevent_st* event);
};

/// All of it does nothing on a CPU context, where work is done when its call returns.
class Event {
 public:
  enum class Lane : bool { compute, copies };  // Context::stream(), the stream of copy_ahead()
  /// The context must outlive the event.
  explicit Event(const Context& ctx);
  ~Event();
  Event(Event&& o) noexcept : ctx_(o.ctx_), event_(std::exchange(o.event_, nullptr)) {}

  /// Marks what the lane holds now. An event that was never recorded is waited for by nobody.
  void record(Lane lane) const;
  /// What the lane gets from now on starts when the mark is reached.
  void hold(Lane lane) const;
  /// The host waits for the mark, watched as Context::synchronize().
  void wait() const;

 private:
  const Context& ctx_;
  CUevent_st* event_ = nullptr;
};

}  // namespace gradmill
