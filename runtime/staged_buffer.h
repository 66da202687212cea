// An array that the host fills again and again for a device.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/buffer.h"

namespace gradmill {

/// Fill host(n), then send(): on a CPU context the same memory, else a copy on the device. Grows to the
/// largest n and stays so.
template <class T>
class StagedBuffer {
 public:
  explicit StagedBuffer(const Context& ctx) : ctx_(ctx) {}

  /// Memory for n values, with those of before.
  T* host(std::int64_t n) {
    host_.resize(static_cast<std::size_t>(n));
    return host_.data();
  }
  /// The values for work that is enqueued on the context's stream from now on, until the next send().
  VectorView<T> send() {
    const auto size = static_cast<std::int64_t>(host_.size());
    if (!ctx_.is_cuda()) return {host_.data(), size, {}};
    if (device_.size() < size) device_ = Buffer<T>(ctx_, size + size / 4);
    device_.upload({host_.data(), host_.size()});
    return device_.view().slice(0, size);
  }

 private:
  const Context& ctx_;
  std::vector<T> host_;
  Buffer<T> device_;
};

}  // namespace gradmill
