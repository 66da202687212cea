#include "runtime/context.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <thread>

#include "runtime/cuda_device.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::chrono::microseconds kPoll{20};
constexpr std::size_t kHugePage = std::size_t{2} << 20;

void* allocate_host(std::size_t bytes) {
  const std::size_t align = bytes >= kHugePage ? kHugePage : 64;
  const std::size_t rounded = (bytes + align - 1) / align * align;
  void* pointer = rounded >= bytes ? std::aligned_alloc(align, rounded) : nullptr;
  expect(pointer != nullptr, ErrorKind::out_of_memory,
         "cpu: {} bytes asked for, and the system has no more", bytes);
  if (align == kHugePage)
    (void)madvise(pointer, rounded, MADV_HUGEPAGE);  // a wish: 4 KiB pages work too
  return pointer;
}

std::int64_t available_host_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  std::int64_t kilobytes = 0;
  while (file >> key >> kilobytes >> unit)
    if (key == "MemAvailable:") return kilobytes * 1024;
  return 0;
}
}  // namespace

// A build without CUDA has no CudaDevice to destroy.
struct DeleteCudaDevice {
  void operator()([[maybe_unused]] CudaDevice* device) const {
    if constexpr (kHasCuda) delete device;
  }
};

struct Context::Impl {
  Device device{};
  std::unique_ptr<ThreadPool> threads;
  std::unique_ptr<CudaDevice, DeleteCudaDevice> cuda;  // only in a CUDA context
  std::unique_ptr<Context> shadow;                     // only in a check context
  StreamWatch* watch = nullptr;                        // lent by a communicator
  std::unique_ptr<Tracer> tracer = std::make_unique<Tracer>();
  std::unique_ptr<Workspace> workspace;  // last: it frees through the others
};

Context::Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->workspace = std::make_unique<Workspace>(*this);
}
Context::~Context() { impl_->workspace.reset(); }

Context Context::cpu(int threads) {
  auto impl = std::make_unique<Impl>();
  impl->threads = std::make_unique<ThreadPool>(threads);
  return Context(std::move(impl));
}

Context Context::cuda([[maybe_unused]] int ordinal, [[maybe_unused]] int threads) {
  auto impl = std::make_unique<Impl>();
  if constexpr (kHasCuda) {
    impl->device = {DeviceKind::cuda, ordinal};
    impl->threads = std::make_unique<ThreadPool>(threads);
    impl->cuda.reset(new CudaDevice(ordinal));
  } else {
    fail(ErrorKind::usage,
         "device 'cuda:{}' was asked for, but this build has no CUDA; configure with --preset cuda "
         "or use --device cpu",
         ordinal);
  }
  return Context(std::move(impl));
}

Context Context::check(int ordinal, int threads) {
  auto impl = std::make_unique<Impl>();
  impl->threads = std::make_unique<ThreadPool>(threads);
  impl->shadow.reset(new Context(cuda(ordinal)));
  return Context(std::move(impl));
}

std::vector<std::unique_ptr<Context>> Context::all_cuda() {
  std::vector<std::unique_ptr<Context>> all;
  for (int ordinal = 0; ordinal < cuda_device_count(); ++ordinal)
    all.emplace_back(new Context(cuda(ordinal)));
  return all;
}

int Context::cuda_device_count() {
  if constexpr (kHasCuda) return CudaDevice::count();
  return 0;
}

Device Context::device() const { return impl_->device; }
ThreadPool& Context::threads() const { return *impl_->threads; }
Workspace& Context::workspace() const { return *impl_->workspace; }
Tracer& Context::tracer() const { return *impl_->tracer; }
Context* Context::shadow() const { return impl_->shadow.get(); }

std::string Context::describe() const {
  if constexpr (kHasCuda) {
    if (is_cuda()) return fmt::format("cuda:{} {}", device().ordinal, impl_->cuda->name());
  }
  const std::string cpu =
      fmt::format("cpu, {} thread{}", threads().size(), threads().size() == 1 ? "" : "s");
  return shadow() ? fmt::format("check of {} against {}", cpu, shadow()->describe()) : cpu;
}

CUstream_st* Context::stream() const {
  if constexpr (kHasCuda) return impl_->cuda->stream();
  return nullptr;
}
cublasContext* Context::blas() const {
  if constexpr (kHasCuda) return impl_->cuda->blas();
  return nullptr;
}
int Context::multiprocessors() const {
  if constexpr (kHasCuda) return impl_->cuda->multiprocessors();
  return 0;
}

std::int64_t Context::free_bytes() const {
  if constexpr (kHasCuda) {
    if (is_cuda()) return impl_->cuda->free_bytes();
  }
  return available_host_bytes();
}

void Context::synchronize() const {
  if constexpr (kHasCuda) {
    if (!is_cuda()) return;
    if (!impl_->watch) return impl_->cuda->synchronize();
    wait_until([this] { return impl_->cuda->is_idle(); });
  }
}

void Context::wait_until(const std::function<bool()>& done) const {
  const std::int64_t start = monotonic_ns();
  for (bool finished = false; !finished;) {
    finished = done();
    const double waited = static_cast<double>(monotonic_ns() - start) * 1e-9;
    if (impl_->watch) impl_->watch->waiting(waited);
    if (!finished) waited < 1e-3 ? std::this_thread::yield() : std::this_thread::sleep_for(kPoll);
  }
}

CudaDevice* Context::cuda_device() const { return impl_->cuda.get(); }

void Context::watch(StreamWatch* watch) const { impl_->watch = watch; }

void* Context::allocate(std::size_t bytes) const {
  if constexpr (kHasCuda) {
    if (is_cuda()) return impl_->cuda->allocate(bytes);
  }
  return allocate_host(bytes);
}

void Context::deallocate(void* pointer, [[maybe_unused]] std::size_t bytes) const noexcept {
  if constexpr (kHasCuda) {
    if (is_cuda()) return impl_->cuda->deallocate(pointer);
  }
  std::free(pointer);
}

void copy_bytes(const Context& ctx, void* to, Device to_device, const void* from,
                Device from_device, std::size_t bytes) {
  if (bytes == 0) return;
  if constexpr (kHasCuda) {
    if (to_device.kind == DeviceKind::cuda || from_device.kind == DeviceKind::cuda)
      return ctx.copy_device(to, from, bytes);
  }
  require(to_device.kind == DeviceKind::cpu && from_device.kind == DeviceKind::cpu,
          "copy of {} bytes to a CUDA device in a build without CUDA", bytes);
  std::memcpy(to, from, bytes);
}

void Context::copy_device([[maybe_unused]] void* to, [[maybe_unused]] const void* from,
                          [[maybe_unused]] std::size_t bytes) const {
  if constexpr (kHasCuda) {
    require(is_cuda(), "copy of device memory through a CPU context");
    // A copy of pageable memory may wait for the stream inside of CUDA, where nobody looks after it.
    if (impl_->watch && (CudaDevice::is_pageable(to) || CudaDevice::is_pageable(from)))
      synchronize();
    impl_->cuda->copy(to, from, bytes);
  }
}

void* Context::allocate_pinned(std::size_t bytes) const {
  if constexpr (kHasCuda) {
    if (is_cuda()) return CudaDevice::allocate_pinned(bytes);
  }
  return allocate_host(bytes);
}

void Context::deallocate_pinned(void* pointer) const noexcept {
  if constexpr (kHasCuda) {
    if (is_cuda()) return CudaDevice::deallocate_pinned(pointer);
  }
  std::free(pointer);
}

void Context::copy_ahead([[maybe_unused]] void* to, [[maybe_unused]] const void* pinned,
                         [[maybe_unused]] std::size_t bytes) const {
  if constexpr (kHasCuda) {
    require(is_cuda(), "copy ahead to a CPU context");
    impl_->cuda->copy_ahead(to, pinned, bytes);
  }
}
void Context::copies_wait_for_stream() const {
  if constexpr (kHasCuda) {
    if (is_cuda()) impl_->cuda->copies_wait_for_stream();
  }
}
void Context::stream_waits_for_copies() const {
  if constexpr (kHasCuda) {
    if (is_cuda()) impl_->cuda->stream_waits_for_copies();
  }
}

void Context::copy_rows(float* to, std::int64_t to_stride, const float* from,
                        std::int64_t from_stride, std::int64_t cols, std::int64_t rows) const {
  if (rows == 0 || cols == 0) return;
  if constexpr (kHasCuda) {
    if (is_cuda()) return impl_->cuda->copy_rows(to, to_stride, from, from_stride, cols, rows);
  }
  for (std::int64_t r = 0; r < rows; ++r)
    std::copy_n(from + r * from_stride, cols, to + r * to_stride);
}

void Context::zero(void* to, std::size_t bytes) const {
  if (bytes == 0) return;
  if constexpr (kHasCuda) {
    if (is_cuda()) return impl_->cuda->zero(to, bytes);
  }
  std::memset(to, 0, bytes);
}

}  // namespace gradmill
