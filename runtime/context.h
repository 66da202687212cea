// One device with its streams, BLAS handle, threads and workspace. Everything that computes takes one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/view.h"

struct CUstream_st;    // cudaStream_t is CUstream_st*
struct cublasContext;  // cublasHandle_t is cublasContext*

namespace gradmill {

class CudaDevice;
class ThreadPool;
class Tracer;
class Workspace;

inline constexpr bool kHasCuda = GRADMILL_HAS_CUDA != 0;

/// Looks after the waits for a stream that may itself wait for another rank, so that none is endless.
class StreamWatch {
 public:
  /// Called again and again while the host waits, and once when the wait is over. May throw.
  virtual void waiting(double seconds) = 0;

 protected:
  ~StreamWatch() = default;
};

class Context {
 public:
  /// threads: CPU threads that kernels may use, at least 1.
  static Context cpu(int threads);
  /// Errors: ErrorKind::usage if this build has no CUDA or there is no such device.
  static Context cuda(int ordinal, int threads = 1);
  /// A CPU context that repeats every kernel on a CUDA device with the same inputs and compares the
  /// outputs (runtime/dispatch.h): finds the first kernel that disagrees. Slow; for debugging.
  static Context check(int ordinal, int threads);
  /// Every visible CUDA device; empty in a build without CUDA and on a machine without one.
  static std::vector<std::unique_ptr<Context>> all_cuda();
  static int cuda_device_count();

  /// Stays where it was made: buffers and the workspace refer to it.
  Context(Context&&) = delete;
  ~Context();

  Device device() const;
  bool is_cuda() const { return device().kind == DeviceKind::cuda; }
  /// "cpu, 2 threads" or "cuda:0 NVIDIA H100 80GB HBM3".
  std::string describe() const;

  CUstream_st* stream() const;  // compute stream of a CUDA context
  cublasContext* blas() const;  // bound to stream(); workspace set, so results are deterministic
  int multiprocessors() const;  // of a CUDA context
  std::int64_t free_bytes() const;  // device memory, or the machine's available memory

  ThreadPool& threads() const;
  Workspace& workspace() const;
  Tracer& tracer() const;
  Context* shadow() const;  // the CUDA context of a check context, else nullptr

  /// Waits for everything enqueued on stream(). No-op on CPU. Errors: ErrorKind::device, and
  /// whatever the watch throws (a lost peer).
  void synchronize() const;
  /// Lets this watch look after every wait of the host from now on; nullptr: none.
  void watch(StreamWatch* watch) const;
  /// Waits until done() says so, with the watch looking on.
  void wait_until(const std::function<bool()>& done) const;
  CudaDevice* cuda_device() const;  // for runtime/; nullptr unless is_cuda()

  /// Bytes on this context's device. Stream-ordered on CUDA: safe to free while kernels enqueued
  /// before on stream() still run. CPU memory is 64-byte aligned; from 2 MiB on it is aligned to
  /// 2 MiB and huge pages are asked for. Errors: ErrorKind::out_of_memory with size and device.
  void* allocate(std::size_t bytes) const;
  void deallocate(void* pointer, std::size_t bytes) const noexcept;
  /// Clears memory of this device, enqueued on stream().
  void zero(void* to, std::size_t bytes) const;
  /// Enqueues a copy of which at least one side is CUDA memory; use copy() of buffer.h.
  void copy_device(void* to, const void* from, std::size_t bytes) const;
  /// Host memory that the device reads by itself; ordinary memory for a CPU context.
  void* allocate_pinned(std::size_t bytes) const;
  void deallocate_pinned(void* pointer) const noexcept;
  /// Enqueues a copy of pinned memory to a CUDA device beside stream(), on a stream for such copies.
  void copy_ahead(void* to, const void* pinned, std::size_t bytes) const;
  /// Later copies ahead start when what stream() holds now is done.
  void copies_wait_for_stream() const;
  /// What is enqueued on stream() from now on starts when the copies ahead so far are done.
  void stream_waits_for_copies() const;
  /// Copies cols values of each of `rows` rows between arrays of this device with different strides.
  void copy_rows(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride,
                 std::int64_t cols, std::int64_t rows) const;

 private:
  struct Impl;
  explicit Context(std::unique_ptr<Impl> impl);  // NOLINT
  std::unique_ptr<Impl> impl_;
};

/// Runs `cuda` on a CUDA context and `cpu` on any other. A build without CUDA drops the first, so a
/// kernel that has no CUDA implementation is a link error in a CUDA build and nothing in a CPU build.
template <class Cpu, class Cuda>
void on_device(const Context& ctx, Cpu&& cpu, Cuda&& cuda) {
  if constexpr (kHasCuda) {
    if (ctx.is_cuda()) return cuda();
  }
  cpu();
}

/// Copies bytes between (or within) host memory and this context's device, enqueued on its stream.
/// Host memory that is not pinned may be reused at once; results are there after synchronize().
void copy_bytes(const Context& ctx, void* to, Device to_device, const void* from,
                Device from_device, std::size_t bytes);

}  // namespace gradmill
