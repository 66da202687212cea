// Owns host memory that the device reads by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "runtime/context.h"

namespace gradmill {

class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(const Context& ctx, std::int64_t bytes)
      : ctx_(&ctx),
        data_(static_cast<std::byte*>(ctx.allocate_pinned(static_cast<std::size_t>(bytes)))) {}
  PinnedMemory(PinnedMemory&& o) noexcept : ctx_(o.ctx_), data_(std::exchange(o.data_, nullptr)) {}
  PinnedMemory& operator=(PinnedMemory&& o) noexcept {
    std::swap(ctx_, o.ctx_);
    std::swap(data_, o.data_);
    return *this;
  }
  ~PinnedMemory() {
    if (data_) ctx_->deallocate_pinned(data_);
  }
  std::byte* data() const { return data_; }

 private:
  const Context* ctx_ = nullptr;
  std::byte* data_ = nullptr;
};

}  // namespace gradmill
