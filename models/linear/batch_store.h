// Arrays that are cut into batches, on the solver's device: all at once, or a batch at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "models/linear/pinned_memory.h"
#include "runtime/buffer.h"

namespace gradmill {

/// On a CPU nothing is copied. On CUDA the arrays go to the device if they fit; else they stay in pinned
/// host memory, a block for each batch, and two places on the device take turns: while one batch is being
/// computed with, the next is copied. Nothing of it makes the host wait.
class BatchStore {
 public:
  explicit BatchStore(const Context& ctx) : ctx_(ctx) {}
  ~BatchStore();
  BatchStore(BatchStore&&) = delete;

  /// Of the array, batch b has values[starts[b]] .. values[starts[b + 1]]. Returns the array's number.
  template <class T>
  int add(std::vector<T> values, std::vector<std::int64_t> starts) {
    auto owned = std::make_shared<const std::vector<T>>(std::move(values));
    const T* const data = owned->empty() ? nullptr : owned->data();
    const auto size = static_cast<std::int64_t>(owned->size() * sizeof(T));
    arrays_.push_back({std::move(owned),
                       reinterpret_cast<const std::byte*>(data),
                       size,
                       sizeof(T),
                       size ? std::move(starts) : std::vector<std::int64_t>{},
                       {}});
    return static_cast<int>(arrays_.size()) - 1;
  }
  /// After the last add. device_bytes: what the arrays may take on a device; 0: three quarters of what is free.
  /// Errors: ErrorKind::out_of_memory if two batches do not fit.
  void place(std::int64_t batches, std::int64_t device_bytes);

  /// Makes batch b the current one: valid for work that is enqueued before the next call. next: the batch
  /// that will follow, -1 if that is not known.
  void load(std::int64_t b, std::int64_t next);
  /// The current batch's part of an array; of an empty array nothing.
  template <class T>
  VectorView<const T> get(int array) const {
    const auto [data, size] = part(array);
    return {reinterpret_cast<const T*>(data), size / static_cast<std::int64_t>(sizeof(T)),
            ctx_.device()};
  }
  bool streams() const { return streams_; }

 private:
  struct Array {
    std::shared_ptr<const void> owner;
    const std::byte* data;
    std::int64_t bytes, element;
    std::vector<std::int64_t> starts;
    Buffer<std::byte> resident;
    std::int64_t begin(std::int64_t b) const {
      return element * starts[static_cast<std::size_t>(b)];
    }
    std::int64_t size(std::int64_t b) const { return bytes ? begin(b + 1) - begin(b) : 0; }
  };
  std::pair<const std::byte*, std::int64_t> part(int array) const;
  std::int64_t block_bytes(std::int64_t b) const;
  void fill_blocks(std::int64_t batches);
  void copy_block(int to, std::int64_t b);

  const Context& ctx_;
  std::vector<Array> arrays_;
  std::int64_t current_ = 0;
  bool streams_ = false;
  // streams
  PinnedMemory pinned_;
  std::vector<std::int64_t> blocks_;  // [batches + 1]: where each begins in pinned_
  std::array<Buffer<std::byte>, 2> places_;
  std::array<std::int64_t, 2> held_{-1, -1};  // the batch in each place
  int place_ = 0;                             // of the current batch
};

}  // namespace gradmill
