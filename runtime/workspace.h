// Scratch memory of one context: a stack of allocations, released when the scope that took them ends.
// Kernels take their temporaries here, so that a step allocates nothing after the first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/context.h"

namespace gradmill {

class Workspace {
 public:
  explicit Workspace(const Context& ctx) : ctx_(ctx) {}
  ~Workspace();
  Workspace(Workspace&&) = delete;

  /// Changes when memory that was taken before may no longer be what the same calls would take.
  std::int64_t generation() const { return generation_; }

  /// Takes memory until the scope dies; scopes nest. Stream-ordered like Context::allocate.
  class Scope {
   public:
    explicit Scope(const Context& ctx);
    ~Scope();
    Scope(Scope&&) = delete;
    /// Uninitialized, 256-byte aligned.
    template <class T>
    VectorView<T> take(std::int64_t count) {
      return {static_cast<T*>(take_bytes(static_cast<std::size_t>(count) * sizeof(T))), count,
              device_};
    }

   private:
    void* take_bytes(std::size_t bytes);
    Workspace& workspace_;
    Device device_;
    std::size_t block_, used_;
  };

 private:
  struct Block {
    std::byte* data;
    std::size_t bytes, used;
  };
  const Context& ctx_;
  std::vector<Block> blocks_;
  std::size_t current_ = 0;
  int depth_ = 0;
  std::int64_t generation_ = 0;
};

}  // namespace gradmill
