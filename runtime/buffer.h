// Owns an array on a context's device. Values start uninitialized unless zeroed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "runtime/context.h"

namespace gradmill {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  /// The context must outlive the buffer.
  Buffer(const Context& ctx, std::int64_t size)
      : ctx_(&ctx),
        size_(size),
        data_(size ? static_cast<T*>(ctx.allocate(static_cast<std::size_t>(size) * sizeof(T)))
                   : nullptr) {}
  Buffer(Buffer&& o) noexcept
      : ctx_(o.ctx_), size_(std::exchange(o.size_, 0)), data_(std::exchange(o.data_, nullptr)) {}
  Buffer& operator=(Buffer&& o) noexcept {
    std::swap(ctx_, o.ctx_);
    std::swap(size_, o.size_);
    std::swap(data_, o.data_);
    return *this;
  }
  ~Buffer() {
    if (data_) ctx_->deallocate(data_, static_cast<std::size_t>(size_) * sizeof(T));
  }

  static Buffer from_host(const Context& ctx, std::span<const T> host) {
    Buffer buffer(ctx, static_cast<std::int64_t>(host.size()));
    buffer.upload(host);
    return buffer;
  }

  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  VectorView<T> view() { return {data_, size_, device()}; }
  VectorView<const T> view() const { return {data_, size_, device()}; }
  MatrixView<T> matrix(std::int64_t rows, std::int64_t cols, std::int64_t stride) {
    return {data_, rows, cols, stride, device()};
  }
  MatrixView<const T> matrix(std::int64_t rows, std::int64_t cols, std::int64_t stride) const {
    return {data_, rows, cols, stride, device()};
  }

  void zero() {
    if (size_) ctx_->zero(data_, static_cast<std::size_t>(size_) * sizeof(T));
  }
  /// Copies the front of the buffer from the host; host.size() <= size().
  void upload(std::span<const T> host) {
    if (!host.empty()) copy_bytes(*ctx_, data_, device(), host.data(), Device{}, host.size_bytes());
  }
  /// A host copy; waits for the context's stream.
  std::vector<T> to_host() const {
    std::vector<T> host(static_cast<std::size_t>(size_));
    if (size_) copy_bytes(*ctx_, host.data(), Device{}, data_, device(), host.size() * sizeof(T));
    if (ctx_) ctx_->synchronize();
    return host;
  }

 private:
  Device device() const { return ctx_ ? ctx_->device() : Device{}; }
  const Context* ctx_ = nullptr;
  std::int64_t size_ = 0;
  T* data_ = nullptr;
};

/// Copies a view between host and device memory, enqueued on ctx's stream. Sizes must agree.
template <class T>
void copy(const Context& ctx, VectorView<T> to, VectorView<const T> from) {
  copy_bytes(ctx, to.data, to.device, from.data, from.device,
             static_cast<std::size_t>(from.size) * sizeof(T));
}

}  // namespace gradmill
