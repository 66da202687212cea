#include "runtime/event.h"

#include "runtime/cuda_device.h"

namespace gradmill {
namespace {
[[maybe_unused]] CUstream_st* stream_of([[maybe_unused]] const Context& ctx,
                                        [[maybe_unused]] Event::Lane lane) {
  if constexpr (kHasCuda)
    return lane == Event::Lane::copies ? ctx.cuda_device()->copies() : ctx.stream();
  return nullptr;
}
}  // namespace

Event::Event(const Context& ctx) : ctx_(ctx) {
  if constexpr (kHasCuda) {
    if (ctx.is_cuda()) event_ = CudaEvent::make(*ctx.cuda_device());
  }
}

Event::~Event() {
  if constexpr (kHasCuda) {
    if (event_) CudaEvent::destroy(event_);
  }
}

void Event::record([[maybe_unused]] Lane lane) const {
  if constexpr (kHasCuda) {
    if (event_) CudaEvent::record(*ctx_.cuda_device(), event_, stream_of(ctx_, lane));
  }
}

void Event::hold([[maybe_unused]] Lane lane) const {
  if constexpr (kHasCuda) {
    if (event_) CudaEvent::wait(*ctx_.cuda_device(), event_, stream_of(ctx_, lane));
  }
}

void Event::wait() const {
  if constexpr (kHasCuda) {
    if (event_) ctx_.wait_until([this] { return CudaEvent::is_done(*ctx_.cuda_device(), event_); });
  }
}

}  // namespace gradmill
