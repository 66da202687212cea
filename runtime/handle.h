// Owns one C handle: `using Stream = Handle<cudaStream_t, cudaStreamDestroy>;`.
#pragma once

#include <utility>

namespace gradmill {

template <class T, auto Close, T None = T{}>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T raw) noexcept : raw_(raw) {}
  Handle(Handle&& o) noexcept : raw_(std::exchange(o.raw_, None)) {}
  Handle& operator=(Handle&& o) noexcept {
    std::swap(raw_, o.raw_);
    return *this;
  }
  ~Handle() {
    if (raw_ != None) (void)Close(raw_);  // a destructor must not throw: the status is dropped
  }
  T get() const { return raw_; }
  explicit operator bool() const { return raw_ != None; }
  T release() { return std::exchange(raw_, None); }

 private:
  T raw_ = None;
};

}  // namespace gradmill
